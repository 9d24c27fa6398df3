// The tokenisers of lmcore/tokenizer.py and lmcore/bpe.py in the page; a test in a browser holds them equal on real text.
//
// `makeTokenizer(spec)` takes what lmcore/widgets/page_models.py writes into a model file. What it gives:
//   encode(text)        the numbers; throws where a word is not in a vocabulary that has no ⟨unk⟩
//   pieces(text)        the same, unit by unit: [{ text, ids }, …]; ids is empty where the vocabulary has no such unit
//   decode(ids)         text; what is not UTF-8 becomes U+FFFD
//   extend(text, ids)   a text with these tokens behind it, for human eyes
//   spell(id)           one token for human eyes
//   vocabulary, number (token → id), special (a Set of ids)
import { BYTES, pieces, readable } from "./bpe.mjs";

const UNKNOWN_TOKEN = "<unk>";
// Python's \w and \s, and lmcore.tokenizer.WORD_PATTERN.
const LETTER = "[\\p{L}\\p{N}_]", WHITE_SPACE = "\\p{White_Space}\\x1c-\\x1f";
const WORDS = `${LETTER}+(?:['’]${LETTER}+)*|[^\\p{L}\\p{N}_${WHITE_SPACE}]`, BETWEEN_SPACES = `[^${WHITE_SPACE}]+`;

const literal = (token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
const longestFirst = (tokens) => [...tokens].sort((a, b) => Array.from(b).length - Array.from(a).length).map(literal);

export function makeTokenizer({ kind, vocabulary, special, ...rest }) {
  const number = new Map(vocabulary.map((token, i) => [token, i]));
  const apart = special.length ? new RegExp(`(${longestFirst(special).join("|")})`, "u") : null;
  const { cut, join, show } = KINDS_OF_TOKENS[kind]({ vocabulary, special: new Set(special), number, ...rest });
  const units = (text) => (apart ? text.split(apart) : [text]).flatMap((part, i) => // text, special, text, …
    i % 2 ? [{ text: part, ids: [number.get(part)] }] : cut(part));
  function encode(text) {
    const found = units(text), strange = found.filter(({ ids }) => !ids.length).map((piece) => `“${piece.text}”`);
    if (strange.length) throw new Error(`${[...new Set(strange)].join(", ")} ${strange.length > 1 ? "are" : "is"} not in the model's vocabulary`);
    return found.flatMap(({ ids }) => ids);
  }
  return { kind, vocabulary, number, special: new Set(special.map((token) => number.get(token))), pieces: units, encode, decode: (ids) => join("", ids), extend: join, spell: show };
}

/** The units, each with its number, ⟨unk⟩'s, or none. */
const looked = (number, units) => units.map((text) => ({ text, ids: [number.get(text) ?? number.get(UNKNOWN_TOKEN) ?? []].flat() }));

const KINDS_OF_TOKENS = {
  characters: ({ vocabulary, special, number }) => ({
    cut: (text) => looked(number, Array.from(text)),
    join: (text, ids) => text + ids.map((id) => vocabulary[id]).join(""),
    show: (id) => (special.has(vocabulary[id]) ? vocabulary[id] : readable(vocabulary[id], "characters")),
  }),

  /** `whole`: words that the pattern would cut. */
  words({ vocabulary, number, lower, spaces, whole }) {
    const kept = whole.length ? `(?:${longestFirst(whole).join("|")})(?!${LETTER})|` : "", pattern = new RegExp(spaces ? BETWEEN_SPACES : kept + WORDS, "gu");
    return {
      cut: (text) => looked(number, (lower ? text.toLowerCase() : text).match(pattern) ?? []),
      join: (text, ids) => [text.trimEnd(), ...ids.map((id) => vocabulary[id])].filter((word) => word).join(" "),
      show: (id) => vocabulary[id],
    };
  },

  /** Byte-level BPE. A token is spelt in GPT-2's visible characters; `merges` are pairs of numbers, the first learned first. */
  bpe({ vocabulary, special, number, merges }) {
    const visible = BYTES.indexOf("\0"); // from here on, bytes with another symbol
    const byteOf = new Map(BYTES.map((byte, i) => [i < visible ? byte : String.fromCharCode(0x100 + i - visible), byte]));
    const symbolOf = new Map([...byteOf].map(([symbol, byte]) => [byte, symbol]));
    const raw = vocabulary.map((token) => (special.has(token) ? null : Array.from(token, (symbol) => byteOf.get(symbol)).join("")));
    const pair = (a, b) => a * 2 ** 24 + b, known = new Map();
    const rank = new Map(merges.map(([a, b], i) => [pair(a, b), { i, made: number.get(vocabulary[a] + vocabulary[b]) }]));
    /** Replay the merges: the pair that was learned first, wherever it stands, until no pair is left. */
    function replay(ids) {
      for (;;) {
        let first = null;
        for (let t = 0; t + 1 < ids.length; t++) {
          const found = rank.get(pair(ids[t], ids[t + 1]));
          if (found && !(found.i >= first?.i)) first = { ...found, key: pair(ids[t], ids[t + 1]) };
        }
        if (!first) return ids;
        const next = [];
        for (let t = 0; t < ids.length; t++) if (pair(ids[t], ids[t + 1]) === first.key) { next.push(first.made); t++; } else next.push(ids[t]);
        ids = next;
      }
    }
    function idsOf(piece) {
      if (!known.has(piece)) known.set(piece, replay(Array.from(piece, (byte) => number.get(symbolOf.get(byte)))));
      return known.get(piece);
    }
    const toText = new TextDecoder("utf-8", { ignoreBOM: true }), toBytes = new TextEncoder();
    const bytesOf = (id) => (raw[id] === null ? [...toBytes.encode(vocabulary[id])] : Array.from(raw[id], (byte) => byte.charCodeAt(0)));
    return {
      cut: (text) => pieces(text, "bytes").map((piece) => ({ text: toText.decode(Uint8Array.from(piece, (byte) => byte.charCodeAt(0))), ids: idsOf(piece) })),
      join: (text, ids) => text + toText.decode(Uint8Array.from(ids.flatMap(bytesOf))),
      show: (id) => (raw[id] === null ? vocabulary[id] : readable(raw[id], "bytes")),
    };
  },
};

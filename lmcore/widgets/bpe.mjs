// Byte-pair encoding, trained merge by merge. The rules are those of lmcore/merges.py and lmcore/bpe.py, and a test in a
// browser holds the two equal.
//
// A text is cut into pieces that no merge crosses. At the level of characters a piece is a word between white space; at the
// level of bytes it is a match of GPT-2's pattern, written as its UTF-8 bytes, each as the one character with that code.

const WHITE = /[\p{White_Space}\x1c-\x1f]+/u; // what Python's str.split() splits at
const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const utf8 = (text) => Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");

export function pieces(text, level) {
  return level === "bytes" ? (text.match(GPT2) ?? []).map(utf8) : text.split(WHITE).filter((word) => word);
}

// GPT-2's vocabulary starts with the bytes in this order: those that Latin-1 shows as a visible character, then the others.
const isVisible = (byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
const EVERY_BYTE = [...Array(256).keys()];
export const BYTES = [...EVERY_BYTE.filter(isVisible), ...EVERY_BYTE.filter((byte) => !isVisible(byte))].map((byte) => String.fromCharCode(byte));

/** The first symbols, in the order of their numbers. */
function alphabet(words, level) {
  return level === "bytes" ? BYTES : [...new Set(words.flat())].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
}

/** All pairs of neighbours with their counts. The pair to merge comes first: the largest count; among equal counts the
    smallest number of the left token, then of the right one. */
function countPairs(words, times, number) {
  const found = new Map();
  words.forEach((tokens, w) => {
    for (let i = 0; i + 1 < tokens.length; i++) {
      const [a, b] = [tokens[i], tokens[i + 1]], key = number.get(a) * 2 ** 24 + number.get(b);
      const entry = found.get(key);
      if (entry) entry.count += times[w]; else found.set(key, { a, b, key, count: times[w] });
    }
  });
  return [...found.values()].sort((x, y) => y.count - x.count || x.key - y.key);
}

/** Every a followed by b made one token, from left to right; the same array when there is none. */
function merge(tokens, { a, b }) {
  const out = [];
  for (let i = 0; i < tokens.length; i++)
    if (tokens[i] === a && tokens[i + 1] === b) { out.push(a + b); i++; } else out.push(tokens[i]);
  return out.length === tokens.length ? tokens : out;
}

/** The whole training. `order` is the text, as numbers of its different pieces; `alphabet` the first symbols;
    `states[s]` what there is after s merges: `words` (each different piece as its tokens), `pairs` (the counts, the next to
    merge first), `made` (the merged tokens, oldest first), `merged` (the pair joined last), `tokens` (how many in the text). */
export function train(text, level, merges, minCount) {
  const times = new Map(), cut = pieces(text, level);
  for (const piece of cut) times.set(piece, (times.get(piece) ?? 0) + 1);
  const different = [...times.keys()], index = new Map(different.map((piece, i) => [piece, i])), weights = [...times.values()];
  const order = cut.map((piece) => index.get(piece));
  let words = different.map((piece) => Array.from(piece)), made = [], merged = null;
  const first = alphabet(words, level), number = new Map(first.map((symbol, i) => [symbol, i])), states = [];
  for (;;) {
    const pairs = countPairs(words, weights, number), next = pairs[0];
    states.push({ words, pairs, made, merged, tokens: words.reduce((n, tokens, w) => n + tokens.length * weights[w], 0) });
    if (states.length > merges || !next || next.count < minCount) break;
    words = words.map((tokens) => merge(tokens, next));
    number.set(next.a + next.b, first.length + made.length);
    made = [...made, next.a + next.b];
    merged = next;
  }
  return { order, alphabet: first, states, characters: states[0].words.length ? characters(text, level) : 0 };
}

/** How many characters the tokens stand for: at the level of characters, white space is in no token. */
function characters(text, level) {
  return Array.from(level === "bytes" ? text : text.split(WHITE).join("")).length;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SHOWN = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u200d": "‹ZWJ›", "\ufe0f": "‹VS16›" };

/** A token for human eyes: bytes that make whole characters as these, others in hexadecimal; the invisible made visible. */
export function readable(token, level) {
  let text = token;
  if (level === "bytes") {
    try { text = decoder.decode(Uint8Array.from(token, (c) => c.charCodeAt(0))); }
    catch { return Array.from(token, (c) => "‹" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0") + "›").join(""); }
  }
  return Array.from(text, (c) => SHOWN[c] ?? c).join("");
}

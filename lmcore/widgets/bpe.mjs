// Byte-pair encoding, trained merge by merge. The rules are those of lmcore/bpe.py; a test in a browser holds them equal.
//
// A text is cut into pieces that no merge crosses. At the level of characters a piece is a word between white space, at the
// level of bytes a match of GPT-2's pattern, as UTF-8 bytes (one character of code 0–255 each, so that both levels are strings).

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const utf8 = (text) => Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");

export function pieces(text, level) {
  return level === "bytes" ? (text.match(GPT2) ?? []).map(utf8) : text.split(/\p{White_Space}+/u).filter((word) => word);
}

/** Order of two strings by code points; JavaScript's own < compares UTF-16 units. */
function compare(a, b) {
  const x = Array.from(a), y = Array.from(b);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i].codePointAt(0) - y[i].codePointAt(0);
  return x.length - y.length;
}

/** All pairs of neighbours with their counts, the one to merge first: largest count, then the greatest pair. */
function countPairs(words, times) {
  const found = new Map();
  words.forEach((symbols, w) => {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const key = JSON.stringify([symbols[i], symbols[i + 1]]);
      const entry = found.get(key);
      if (entry) entry.count += times[w]; else found.set(key, { a: symbols[i], b: symbols[i + 1], count: times[w] });
    }
  });
  return [...found.values()].sort((x, y) => y.count - x.count || compare(y.a, x.a) || compare(y.b, x.b));
}

/** Join every a followed by b, from the left; the same array when there is none. */
function joinPair(symbols, a, b) {
  const out = [];
  for (let i = 0; i < symbols.length; i++)
    if (symbols[i] === a && symbols[i + 1] === b) { out.push(a + b); i++; } else out.push(symbols[i]);
  return out.length === symbols.length ? symbols : out;
}

/** The whole training: `order` is the text as indices into the different pieces; `states[s]` is what there is after s merges:
    `words` (the symbols of each different piece), `pairs` (counts), `vocabulary`, `merged` (the pair joined last), `tokens`. */
export function train(text, level, merges) {
  const cut = pieces(text, level), index = new Map(), times = [];
  const order = cut.map((piece) => {
    if (!index.has(piece)) { index.set(piece, times.length); times.push(0); }
    times[index.get(piece)]++;
    return index.get(piece);
  });
  let words = [...index.keys()].map((piece) => Array.from(piece));
  let vocabulary = [...new Set(words.flat())].sort(compare), merged = null;
  const states = [];
  for (;;) {
    const pairs = countPairs(words, times);
    states.push({ words, pairs, vocabulary, merged, tokens: order.reduce((n, w) => n + words[w].length, 0) });
    if (states.length > merges || !pairs.length || pairs[0].count < 2) break;
    const { a, b, count } = pairs[0];
    words = words.map((symbols) => joinPair(symbols, a, b));
    vocabulary = [...vocabulary, a + b];
    merged = { a, b, count };
  }
  const characters = Array.from(level === "bytes" ? text : text.replace(/\p{White_Space}/gu, "")).length;
  return { order, states, characters };
}

/** How a token is written for people: bytes that are whole characters as these, others as hexadecimal; white space visible. */
export function readable(token, level) {
  let text = token;
  if (level === "bytes") {
    try { text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(token, (c) => c.charCodeAt(0))); }
    catch { return Array.from(token, (c) => "‹" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0") + "›").join(""); }
  }
  return text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

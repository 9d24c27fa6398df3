// BERT's tokeniser. The rules are those of lmcore/wordpiece.py, and a test in a browser holds the two equal.
//
// What is a mark, an accent or a control character is what the browser's Unicode tables say. They may be newer than Python's,
// so the two can differ on characters that Python's version does not know yet.

const PREFIX = "##", UNKNOWN = "[UNK]";
// As in the code of BERT.
const CHINESE = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b820}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
// BERT counts all visible ASCII characters that are no letter or digit, such as $ and ^, as punctuation.
const MARK = /[\p{P}$+<=>^`|~]/gu;

/** BERT's words: text without control characters, cut at white space, punctuation marks and Chinese characters. */
export function basicTokens(text, lower) {
  text = text.replace(/[\t\n\r]/g, " ").replace(/[\p{C}\ufffd]/gu, "").replace(CHINESE, " $& ").replace(/\p{Z}/gu, " ");
  if (lower) text = Array.from(text.normalize("NFD").replace(/\p{Mn}/gu, ""), (c) => c.toLowerCase()).join(""); // each by itself: no final sigma
  return text.replace(MARK, " $& ").split(/\s+/).filter((word) => word);
}

/** The tokeniser with this vocabulary: `words(text)` gives [{ word, ids }, …], in the order of the text; a special token is a word. */
export function wordPiece({ vocabulary, special, lower, longest }) {
  const number = new Map(vocabulary.map((token, i) => [token, i]));
  const reach = vocabulary.reduce((most, token) => Math.max(most, Array.from(token).length), 0);
  const ordered = [...special].sort((a, b) => Array.from(b).length - Array.from(a).length).map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  const apart = ordered.length ? new RegExp(`(${ordered.join("|")})`, "u") : null;

  /** The longest piece in the vocabulary that starts the word, then the longest that goes on from there, to the end. */
  function spell(word) {
    const letters = Array.from(word), ids = [];
    for (let start = 0; start < letters.length && letters.length <= longest;) {
      let end = Math.min(letters.length, start + reach), id;
      for (; end > start; end--) {
        id = number.get((start ? PREFIX : "") + letters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return [number.get(UNKNOWN)];
      ids.push(id);
      start = end;
    }
    return ids.length ? ids : [number.get(UNKNOWN)];
  }

  const words = (text) => (apart ? text.split(apart) : [text]).flatMap((piece, i) => // text, special, text, …
    i % 2 ? [{ word: piece, ids: [number.get(piece)] }] : basicTokens(piece, lower).map((word) => ({ word, ids: spell(word) })));
  return { number, words };
}

// Splits and joins text as the exported model's tokenizers do; `plain_tokenizers.py` in
// JavaScript. A character here is a Unicode code point.

// Capitals younger than Unicode 13, which the model's own tables do not lower-case.
const YOUNG_CAPITALS =
  /([\u2c2f\ua7c0\ua7cb\ua7cc\ua7ce\ua7d0\ua7d2\ua7d4\ua7d6\ua7d8\ua7da\ua7dc\u{10570}-\u{10595}\u{10d50}-\u{10d65}\u{16ea0}-\u{16eb8}])/u;

// How much worse than the worst token of the vocabulary SentencePiece takes an unknown one for.
const UNKNOWN_PENALTY = 10;

const SPLITS = {
  CharacterTokenizer: (tokenizer, text) => Array.from(text),
  SymbolTokenizer: (tokenizer, text) => symbols(text),
  WordTokenizer: (tokenizer, text) => tokenizer.words(text),
  WordPieceTokenizer: (tokenizer, text) =>
    tokenizer.words(text).flatMap((word) => tokenizer.wordPieces(word)),
  SentencePieceTokenizer: (tokenizer, text) => tokenizer.sentencePieces(text),
};

// One side, source or target: its part of `model.json`, vocabulary and scores with it.
export class PlainTokenizer {
  constructor(description) {
    const { vocabulary, scores = [], split, punctuation } = description;
    this.description = description;
    if (!(split in SPLITS)) throw new Error(`this page cannot split text as ${split} does`);
    // Text that is spelled like a special token must not act as one.
    this.ids = new Map(vocabulary.map((token, id) => [token, id]).slice(4));
    this.longest = vocabulary.reduce((most, token) => Math.max(most, [...token].length), 0);
    // In 32 bits, as in the model: sums must round alike to choose alike.
    const values = scores.map(Math.fround).slice(4);
    this.scores = new Map(values.map((score, i) => [vocabulary[i + 4], score]));
    const worst = values.reduce((least, score) => Math.min(least, score), 0);
    this.unknownScore = Math.fround(worst - UNKNOWN_PENALTY);
    this.punctuation = punctuation && new RegExp(`(${punctuation})`, "g");
  }

  // The tokens, unknown ones as they are.
  split(text) {
    const { lowercase, split } = this.description;
    return SPLITS[split](this, lowercase ? lower(text) : text);
  }

  // The text of tokens.
  join(tokens) {
    const { separator, space, inside } = this.description;
    const text = tokens.join(separator);
    if (space) return text.replaceAll(space, " ").replace(/^ /, "");
    return inside ? text.replaceAll(` ${inside}`, "").replaceAll(inside, "") : text;
  }

  words(text) {
    return symbols(text.replace(this.punctuation, " $1 "));
  }

  // The longest token from the left, again and again; the word if that fails.
  wordPieces(word) {
    const { inside, longest_word_bytes: limit } = this.description;
    if (new TextEncoder().encode(word).length > limit) return [word];
    const characters = Array.from(word);
    const pieces = [];
    for (let begin = 0; begin < characters.length; ) {
      let end = Math.min(characters.length, begin + this.longest);
      const piece = () => (begin ? inside : "") + characters.slice(begin, end).join("");
      while (end > begin && !this.ids.has(piece())) end--;
      if (end === begin) return [word];
      pieces.push(piece());
      begin = end;
    }
    return pieces;
  }

  sentencePieces(text) {
    const { space, algorithm } = this.description;
    const spaced = text.replace(new RegExp(`[ \\t\\n\\v\\f\\r${space}]+`, "g"), space);
    const trimmed = spaced.replace(new RegExp(`^${space}|${space}$`, "g"), "");
    if (!trimmed) return [];
    const characters = Array.from(space + trimmed);
    const found = algorithm === "bpe" ? this.merge(characters) : this.bestPath(characters);
    const pieces = [];
    let wasUnknown = false;
    for (const piece of found) {
      const unknown = !this.ids.has(piece);
      // A run of unknown characters is one token.
      if (unknown && wasUnknown) pieces[pieces.length - 1] += piece;
      else pieces.push(piece);
      wasUnknown = unknown;
    }
    return pieces;
  }

  // The split with the greatest sum of scores.
  bestPath(characters) {
    const count = characters.length;
    const best = [0, ...new Array(count).fill(null)];
    const begins = new Array(count + 1).fill(0);
    const offer = (begin, end, score) => {
      const sum = Math.fround(best[begin] + score);
      if (best[end] === null || sum > best[end]) [best[end], begins[end]] = [sum, begin];
    };
    for (let begin = 0; begin < count; begin++) {
      let piece = "";
      let single = false;
      for (let end = begin + 1; end <= Math.min(count, begin + this.longest); end++) {
        piece += characters[end - 1];
        const score = this.scores.get(piece);
        if (score === undefined) continue;
        single ||= end === begin + 1;
        offer(begin, end, score);
      }
      if (!single) offer(begin, begin + 1, this.unknownScore);
    }
    const pieces = [];
    for (let end = count; end; end = begins[end]) {
      pieces.unshift(characters.slice(begins[end], end).join(""));
    }
    return pieces;
  }

  // Joins the neighbours whose union has the best score, the leftmost first.
  merge(characters) {
    const pieces = [...characters];
    for (;;) {
      let best = -1;
      let bestScore = -Infinity;
      for (let i = 0; i + 1 < pieces.length; i++) {
        const score = this.scores.get(pieces[i] + pieces[i + 1]);
        if (score !== undefined && score > bestScore) [best, bestScore] = [i, score];
      }
      if (best < 0) return pieces;
      pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
    }
  }
}

function symbols(text) {
  return text.split(/[ \t\n\v\f\r]+/).filter((piece) => piece);
}

function lower(text) {
  return text
    .split(YOUNG_CAPITALS)
    .map((piece, index) => (index % 2 ? piece : piece.toLowerCase()))
    .join("");
}

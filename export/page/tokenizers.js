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
  BPETokenizer: (tokenizer, text) => tokenizer.wordsOfCharacters(text),
  ByteLevelBPETokenizer: (tokenizer, text) => tokenizer.byteLevel(text),
  TranscriptTokenizer: (tokenizer, text) => tokenizer.byteLevel(text),
  SentencePieceTokenizer: (tokenizer, text) => tokenizer.sentencePieces(text),
  SentencePieceFileTokenizer: (tokenizer, text) => tokenizer.piecesOfAFile(text),
};

const BYTE_PIECE = /^<0x([0-9A-F]{2})>$/;
const BYTE_ORDER_MARK_STAYS = { ignoreBOM: true };

// One side, source or target: its part of `model.json`, vocabulary, scores and merges with it.
export class PlainTokenizer {
  constructor(description) {
    const { vocabulary, scores = [], merges = [], split, punctuation } = description;
    this.description = description;
    if (!(split in SPLITS)) throw new Error(`this page cannot split text as ${split} does`);
    // Text that is spelled like a special token must not act as one.
    this.ids = new Map(vocabulary.map((token, id) => [token, id]).slice(4));
    // What every text begins and finishes with; not written.
    this.begin = description.begin ?? [];
    this.finish = description.finish ?? [];
    // In 32 bits, as in the model: sums must round alike to choose alike. `null` for a token
    // that is no piece.
    const own = scores.slice(4).map((score, i) => [vocabulary[i + 4], score]);
    const pieces = [...own, ...Object.entries(description.more_pieces ?? {})]
      .filter(([, score]) => score !== null)
      .map(([piece, score]) => [piece, Math.fround(score)]);
    this.scores = new Map(pieces);
    const worst = pieces.reduce((least, [, score]) => Math.min(least, score), 0);
    const known = Math.fround(description.worst_score ?? worst);
    this.unknownScore = Math.fround(known - UNKNOWN_PENALTY);
    this.longest = [...vocabulary, ...this.scores.keys()].reduce(
      (most, token) => Math.max(most, [...token].length), 0);
    this.punctuation = punctuation && new RegExp(`(${punctuation})`, "g");
    this.pattern = description.pattern && new RegExp(description.pattern, "gu");
    this.ranks = new Map(merges.map((merge, rank) => [merge, rank]));
    this.characters = [...(description.characters ?? "")];
    this.byteOf = new Map(this.characters.map((character, byte) => [character, byte]));
    this.normalizer = new Normalizer(description.normalizer ?? {});
  }

  // The tokens, those that every text begins and finishes with included, unknown ones as they
  // are.
  split(text) {
    return [...this.begin, ...this.ownPieces(text), ...this.finish];
  }

  // The ids of `split`.
  encode(text) {
    const { vocabulary, unknown } = this.description;
    const around = (tokens) => tokens.map((token) => vocabulary.indexOf(token));
    const ids = this.ownPieces(text).map((piece) => this.ids.get(piece) ?? unknown);
    return [...around(this.begin), ...ids, ...around(this.finish)];
  }

  ownPieces(text) {
    const { lowercase, split } = this.description;
    return SPLITS[split](this, lowercase ? lower(text) : text);
  }

  // The text of tokens.
  join(all) {
    const { separator, space, inside, strip, goes_on: goesOn } = this.description;
    const tokens = all.filter((token, index) => token !== this.begin[index]);
    const text = tokens.join(separator);
    if (this.byteOf.size) {
      const content = this.ofBytes(text);
      return strip ? content.replace(/^ +| +$/g, "") : content;
    }
    if (space) return this.spaced(tokens).replace(/^ /, "");
    if (goesOn) return text.replace(new RegExp(`${goesOn}( |$)`, "g"), "");
    return inside ? text.replaceAll(` ${inside}`, "").replaceAll(inside, "") : text;
  }

  words(text) {
    return symbols(text.replace(this.punctuation, " $1 "));
  }

  wordsOfCharacters(text) {
    const { goes_on: goesOn, word_end: end } = this.description;
    return symbols(text).flatMap((word) => {
      const characters = Array.from(word);
      characters.push(characters.pop() + end);
      const pieces = this.joinByRank(characters);
      const last = pieces.pop();
      const whole = last.endsWith(end) ? last.slice(0, -end.length) : last;
      return [...pieces.map((piece) => piece + goesOn), whole];
    });
  }

  byteLevel(text) {
    const spaced = this.description.prefix_space && text && text[0] !== " " ? ` ${text}` : text;
    return (spaced.match(this.pattern) ?? []).flatMap((word) =>
      this.joinByRank(Array.from(new TextEncoder().encode(word), (b) => this.characters[b])));
  }

  // What the characters stand for; those that stand for no byte as they are.
  ofBytes(text) {
    const bytes = Array.from(text).flatMap((character) =>
      this.byteOf.has(character)
        ? [this.byteOf.get(character)]
        : [...new TextEncoder().encode(character)]);
    return decoded(bytes);
  }

  // Joins the neighbours that come first in the list of merges, the leftmost first.
  joinByRank(characters) {
    const pieces = [...characters];
    for (;;) {
      let best = Infinity;
      let place = -1;
      for (let i = 0; i + 1 < pieces.length; i++) {
        const rank = this.ranks.get(`${pieces[i]} ${pieces[i + 1]}`);
        if (rank < best) [best, place] = [rank, i];
      }
      if (place < 0) return pieces;
      pieces.splice(place, 2, pieces[place] + pieces[place + 1]);
    }
  }

  piecesOfAFile(text) {
    const normal = this.normalizer.apply(text);
    return this.piecesIn(Array.from(normal.replaceAll(" ", this.description.space)));
  }

  // Pieces of SentencePiece as text, those of a byte too.
  spaced(tokens) {
    const { space, byte_fallback: hasBytes } = this.description;
    if (!hasBytes) return tokens.join("").replaceAll(space, " ");
    return decoded(tokens.flatMap((token) => {
      const byte = BYTE_PIECE.exec(token);
      return byte
        ? [parseInt(byte[1], 16)]
        : [...new TextEncoder().encode(token.replaceAll(space, " "))];
    }));
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
    const { space } = this.description;
    const spaced = text.replace(new RegExp(`[ \\t\\n\\v\\f\\r${space}]+`, "g"), space);
    const trimmed = spaced.replace(new RegExp(`^${space}|${space}$`, "g"), "");
    if (!trimmed) return [];
    return this.piecesIn(Array.from(space + trimmed));
  }

  piecesIn(characters) {
    const { algorithm, byte_fallback: hasBytes } = this.description;
    const found = algorithm === "bpe" ? this.merge(characters) : this.bestPath(characters);
    const pieces = [];
    let wasUnknown = false;
    for (const piece of found) {
      const unknown = !this.scores.has(piece);
      // A run of unknown characters is one token.
      if (unknown && hasBytes) {
        for (const byte of new TextEncoder().encode(piece)) {
          pieces.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
        }
      } else if (unknown && wasUnknown) pieces[pieces.length - 1] += piece;
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

// What a SentencePiece model does to a text before it splits it; `_Normalizer` of
// `plain_tokenizers.py`.
class Normalizer {
  constructor({ characters = "", collapse = false, prefix = false }) {
    const content = Uint8Array.from(atob(characters), (one) => one.charCodeAt(0));
    const size = content.length ? new DataView(content.buffer).getUint32(0, true) : 0;
    const view = new DataView(content.buffer, Math.min(4, content.length), size);
    this.units = Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 * i, true));
    this.replacements = content.subarray(4 + size);
    this.collapse = collapse;
    this.prefix = prefix;
  }

  apply(given) {
    const content = new TextEncoder().encode(given);
    const parts = [];
    for (let place = 0; place < content.length; ) {
      let [length, replacement] = this.longestMatch(content, place);
      if (!length) {
        // As it is: one character.
        length = 1;
        while (content[place + length] >> 6 === 2) length++;
        replacement = content.subarray(place, place + length);
      }
      for (const byte of replacement) parts.push(byte);
      place += length;
    }
    let text = decoded(parts);
    if (this.collapse) text = text.replace(/ +/g, " ").replace(/^ | $/g, "");
    return text && this.prefix ? ` ${text}` : text;
  }

  // Bytes of the longest known beginning, and what replaces it; 0 bytes for none.
  longestMatch(content, begin) {
    let [length, value] = [0, 0];
    let node = this.units.length ? offset(this.units[0]) : 0;
    for (let place = begin; this.units.length && place < content.length; place++) {
      node ^= content[place];
      const unit = this.units[node] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== content[place]) break;
      node ^= offset(unit);
      if ((unit >>> 8) & 1) [length, value] = [place - begin + 1, this.units[node] & 0x7fffffff];
    }
    if (!length) return [0, []];
    return [length, this.replacements.subarray(value, this.replacements.indexOf(0, value))];
  }
}

// Of a unit of a double array: where its children lie.
function offset(unit) {
  return (unit >>> 10) << ((unit & 512) >>> 6);
}

// UTF-8 as text; U+FFFD for what is none.
function decoded(bytes) {
  return new TextDecoder("utf-8", BYTE_ORDER_MARK_STAYS).decode(Uint8Array.from(bytes));
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

// Text, sound or frames in, text out, with LiteRT.js. Splits and joins as the exported model's
// tokenizers do.

import { loadLiteRt, loadAndCompile, Tensor } from "@litertjs/core";

import { PlainTokenizer } from "./tokenizers.js";

export class Tokenizer {
  constructor(description) {
    this.description = description;
    // Of sound and frames the description has no way to split.
    this.source = description.source.split && new PlainTokenizer(description.source);
    this.target = description.target && new PlainTokenizer(description.target);
  }

  split(text) {
    return this.source.split(text);
  }

  // The ids of a source, with the end token.
  tokenize(text) {
    if (text.includes("\0")) {
      throw new Error("A source holds a NUL character, which is no text.");
    }
    if (!text.isWellFormed()) {
      throw new Error("A source holds half of a surrogate pair, which is no character.");
    }
    const ids = this.source.encode(text);
    const longest = this.description.max_source_length;
    const least = this.source.begin.length + this.source.finish.length + 1;
    if (ids.length < least || ids.length > longest) {
      throw new Error(
        `A source must have from ${least} to ${longest} tokens. Received ${ids.length}.`);
    }
    return [...ids, this.description.source.append];
  }

  // The places of the ids before the end that are written.
  written(ids) {
    const { end, padding, start, unwritten = [] } = this.description.target;
    const isMark = (id) => unwritten.some(([first, behind]) => first <= id && id < behind);
    const stop = ids.indexOf(end);
    const before = stop < 0 ? ids : ids.slice(0, stop);
    return [...before.keys()].filter((place) => {
      const id = ids[place];
      return id !== padding && id !== start && !isMark(id);
    });
  }

  // Their tokens.
  detokenize(ids) {
    return this.written(ids).map((place) => this.description.target.vocabulary[ids[place]]);
  }
}

class Model {
  constructor(description, compiled) {
    this.tokenizer = new Tokenizer(description);
    this.description = description;
    this.compiled = compiled;
  }

  // What its sources are: "text", "waveform" or "features".
  get kind() {
    return this.description.source.kind ?? "text";
  }

  // Samples a second of a model of sound.
  get sampleRate() {
    return this.description.source.sample_rate;
  }

  // Text -> what the model is fed, padded, and names of what it reads.
  read(text) {
    const pieces = this.tokenizer.split(text);
    const ids = this.tokenizer.tokenize(text);
    const length = this.description.max_source_length + 1;
    const padded = new Int32Array(length);
    padded.set(ids);
    const { unknown } = this.description.source;
    return {
      inputs: { encoder_token_ids: new Tensor(padded, [1, length]) },
      sourceTokens: [...pieces, "end"],
      isUnknown: ids.map((id) => id === unknown),
    };
  }

  // The same of samples; what the model reads of them has no names.
  listen(samples) {
    const longest = this.description.max_source_length;
    if (samples.length < 1 || samples.length > longest) {
      throw new Error(`A sound must have from 1 to ${longest} samples ` +
        `(${(longest / this.sampleRate).toFixed(1)} s). Received ${samples.length}.`);
    }
    return this.fed(samples, samples.length, [1, longest]);
  }

  // The same of {length, width, values} or of rows.
  watch(frames) {
    const values = Array.isArray(frames) ? frames.flat(Infinity) : frames.values;
    const longest = this.description.max_source_length;
    const width = this.description.source.feature_shape.reduce((all, one) => all * one, 1);
    if (frames.length < 1 || frames.length > longest || values.length !== frames.length * width) {
      throw new Error(`A source must have from 1 to ${longest} frames of ${width} values. ` +
        `Received ${frames.length} frames, ${values.length} values.`);
    }
    return this.fed(values, frames.length, [1, longest, width]);
  }

  fed(values, length, shape) {
    const padded = new Float32Array(shape.reduce((all, one) => all * one, 1));
    padded.set(values);
    return {
      inputs: {
        [`encoder_${this.kind}`]: new Tensor(padded, shape),
        encoder_lengths: new Tensor(Int32Array.of(length), [1]),
      },
    };
  }

  // -> {sourceTokens, isUnknown, targetTokens, hypotheses: [{text, ids, logProb}],
  //     alignment: [[weight]]}
  async generate(source) {
    const read = { text: "read", waveform: "listen", features: "watch" }[this.kind];
    const { inputs, ...names } = this[read](source);
    const outputs = await this.compiled.run(inputs);
    for (const input of Object.values(inputs)) input.delete();
    const values = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      values[name] = Array.from(tensor.toTypedArray());
      tensor.delete();
    }
    const rows = values.log_probs.length;
    const longest = values.token_ids.length / rows;
    const hypotheses = [];
    for (let row = 0; row < rows; row++) {
      if (values.log_probs[row] < -5e8) continue; // There is no such hypothesis.
      const all = values.token_ids.slice(row * longest, (row + 1) * longest);
      const stop = all.indexOf(this.description.target.end);
      const tokens = this.tokenizer.detokenize(all);
      const places = this.tokenizer.written(all);
      if (stop >= 0) places.push(stop);
      hypotheses.push({
        ids: stop < 0 ? all : all.slice(0, stop),
        tokens,
        places,
        text: this.tokenizer.target.join(tokens),
        logProb: values.log_probs[row],
      });
    }
    const result = { hypotheses, sourceTokens: [], isUnknown: [], targetTokens: [], ...names };
    if (values.alignment && hypotheses.length) {
      const width = values.alignment.length / longest;
      const { places, tokens } = hypotheses[0];
      result.targetTokens = [...tokens, "end"].slice(0, places.length);
      const rows = places.map((step) =>
        values.alignment.slice(step * width, (step + 1) * width));
      if (this.kind !== "text") result.sourceTokens = positions(rows);
      result.alignment = rows.map((row) => row.slice(0, result.sourceTokens.length));
    }
    return result;
  }

  // What a test vector gives otherwise than at export; empty if it agrees.
  async difference(vector, tolerance) {
    if (this.kind === "text") {
      let ids;
      try {
        ids = this.tokenizer.tokenize(vector.source);
      } catch (error) {
        return vector.refused ? "" : `it is refused: ${error.message}`;
      }
      if (vector.refused) return "it is taken, and must be refused";
      if (String(ids) !== String(vector.encoder_token_ids)) {
        return `ids ${ids} in place of ${vector.encoder_token_ids}`;
      }
    }
    const { hypotheses } = await this.generate(vector.source);
    if (hypotheses.length !== vector.texts.length) {
      return `${hypotheses.length} targets in place of ${vector.texts.length}`;
    }
    for (const [row, { text, ids: found, logProb }] of hypotheses.entries()) {
      if (row === 0 && String(found) !== String(vector.token_ids[0])) {
        return `“${text}” in place of “${vector.texts[0]}”`;
      }
      if (row === 0 && text !== vector.texts[0]) {
        return `the text “${text}” in place of “${vector.texts[0]}”`;
      }
      const right = vector.log_probs[row];
      if (Math.abs(logProb - right) > tolerance * Math.max(1, Math.abs(right))) {
        return `log probability ${logProb} in place of ${right}`;
      }
    }
    return "";
  }
}

// Numbers of the positions that the model read, every tenth; behind them no row has weight.
function positions(rows) {
  const last = Math.max(0, ...rows.map((row) => row.findLastIndex((weight) => weight > 0)));
  return Array.from({ length: last + 1 }, (_, i) => (i % 10 ? "" : String(i)));
}

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return response.json();
}

// Loads the runtime from the folder `wasm`, and the model beside this file.
export async function open(wasm) {
  const [description] = await Promise.all([
    fetched(new URL("model.json", import.meta.url)),
    loadLiteRt(wasm),
  ]);
  const url = new URL("model.tflite", import.meta.url).href;
  return new Model(description, await loadAndCompile(url, { accelerator: "wasm" }));
}

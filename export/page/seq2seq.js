// Text in, text out, with LiteRT.js. Splits and joins as the exported model's tokenizers do.

import { loadLiteRt, loadAndCompile, Tensor } from "@litertjs/core";

import { PlainTokenizer } from "./tokenizers.js";

export class Tokenizer {
  constructor(description) {
    this.description = description;
    this.source = new PlainTokenizer(description.source);
    this.target = description.target && new PlainTokenizer(description.target);
  }

  split(text) {
    return this.source.split(text);
  }

  tokenize(pieces) {
    const { unknown, append } = this.description.source;
    const longest = this.description.max_source_length;
    if (pieces.length < 1 || pieces.length > longest) {
      throw new Error(
        `A source must have from 1 to ${longest} tokens. Received ${pieces.length}.`);
    }
    return [...pieces.map((piece) => this.source.ids.get(piece) ?? unknown), append];
  }

  // The tokens before the end.
  detokenize(ids) {
    const { end, padding, start, vocabulary } = this.description.target;
    const stop = ids.indexOf(end);
    return (stop < 0 ? ids : ids.slice(0, stop))
      .filter((id) => id !== padding && id !== start)
      .map((id) => vocabulary[id]);
  }
}

class Model {
  constructor(description, compiled) {
    this.tokenizer = new Tokenizer(description);
    this.description = description;
    this.compiled = compiled;
  }

  // -> {sourceTokens, targetTokens, hypotheses: [{text, logProb}], alignment: [[weight]]}
  async generate(text) {
    const pieces = this.tokenizer.split(text);
    const ids = this.tokenizer.tokenize(pieces);
    const length = this.description.max_source_length + 1;
    const padded = new Int32Array(length);
    padded.set(ids);
    const input = new Tensor(padded, [1, length]);
    const outputs = await this.compiled.run({ encoder_token_ids: input });
    input.delete();
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
      const tokens = this.tokenizer.detokenize(
        values.token_ids.slice(row * longest, (row + 1) * longest));
      hypotheses.push({
        tokens,
        text: this.tokenizer.target.join(tokens),
        logProb: values.log_probs[row],
      });
    }
    const result = { hypotheses, sourceTokens: [...pieces, "end"], targetTokens: [] };
    if (values.alignment && hypotheses.length) {
      result.targetTokens = [...hypotheses[0].tokens, "end"].slice(0, longest);
      result.alignment = result.targetTokens.map((_, step) =>
        values.alignment.slice(step * length, step * length + ids.length));
    }
    return result;
  }
}

// Loads the runtime from the folder `wasm`, and the model beside this file.
export async function open(wasm) {
  const [description] = await Promise.all([
    fetch(new URL("model.json", import.meta.url)).then((response) => response.json()),
    loadLiteRt(wasm),
  ]);
  const url = new URL("model.tflite", import.meta.url).href;
  return new Model(description, await loadAndCompile(url, { accelerator: "wasm" }));
}

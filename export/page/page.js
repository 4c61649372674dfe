// What the page shows: the targets of what is typed, where the model looked, and whether the
// model gives what it gave where it was exported.

import { attentionTable, visible } from "./attention.js";
import { readFrames } from "./frames.js";
import { listen } from "./sound.js";

const at = (id) => document.getElementById(id);
const [input, message, unknown, targets, attention, time, check, differences] =
  ["source", "message", "unknown", "targets", "attention", "time", "check", "differences"].map(at);

// What is slower than this is said to be waited for.
const SLOW_MILLISECONDS = 15000;

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function clear() {
  for (const one of [message, unknown, time]) one.textContent = "";
  targets.replaceChildren();
  attention.replaceChildren();
  at("result").hidden = true;
}

async function show(model, source) {
  clear();
  if (!source.length) return;
  try {
    const begin = performance.now();
    const result = await model.generate(source);
    clear();
    time.textContent = `${(performance.now() - begin).toFixed(1)} ms`;
    const strange = new Set(result.sourceTokens.filter((_, i) => result.isUnknown[i]));
    if (strange.size) {
      unknown.textContent =
        `Unknown to the model: ${[...strange].map((one) => `“${visible(one)}”`).join(", ")}`;
    }
    for (const { text, logProb } of result.hypotheses) {
      const item = element("li", text + " ");
      item.append(element("small", logProb.toFixed(3)));
      targets.append(item);
    }
    if (!result.hypotheses.length) message.textContent = "The model finds no target.";
    if (result.alignment) {
      const { sourceTokens, targetTokens, isUnknown, alignment } = result;
      attention.append(attentionTable(
        { source: sourceTokens, target: targetTokens, weights: alignment, isUnknown }));
    }
    at("result").hidden = false;
  } catch (error) {
    clear();
    message.textContent = error.message;
  }
}

function shown(source) {
  return typeof source === "string" ? `“${visible(source)}”` : `a source of length ${source.length}`;
}

// Replays the test vectors that were made at export.
async function replay(model, turn) {
  const response = await fetch("test_vectors.json");
  if (!response.ok) throw new Error(`test_vectors.json: status ${response.status}`);
  const { vectors, tolerance } = await response.json();
  let right = 0;
  for (const vector of vectors) {
    check.textContent = `Checking ${right} of ${vectors.length} test sources…`;
    const reason = await turn(() => model.difference(vector, tolerance));
    if (reason) differences.append(element("li", `${shown(vector.source)}: ${reason}`));
    else right++;
  }
  check.textContent = right === vectors.length
    ? `As exported: ${right} of ${vectors.length} test sources agree.`
    : `Not as exported: ${right} of ${vectors.length} test sources agree. Those that differ:`;
}

function fail(words) {
  clear();
  message.textContent = words;
}

// Shows what takes sound in the place of the field for text.
function hear(model, heard) {
  const [button, file, status] = ["record", "file", "sound"].map(at);
  listen({ button, file, status, heard, rate: () => model.sampleRate, failed: fail });
  button.disabled = file.disabled = false;
  at("text-field").hidden = true;
  at("sound-field").hidden = false;
}

// The same for frames.
function look(looked) {
  const file = at("frames-file");
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    try {
      const frames = await readFrames(file.files[0]);
      at("frames").textContent = `${frames.length} frames of ${frames.width} values`;
      await looked(frames);
    } catch (error) {
      fail(error.message);
    }
  });
  file.disabled = false;
  at("text-field").hidden = true;
  at("frames-field").hidden = false;
}

async function begin() {
  const from = document.body.dataset.from;
  const waiting = setTimeout(() => {
    message.textContent = `Still loading. Nothing has come from ${from} so far; is it reachable?`;
  }, SLOW_MILLISECONDS);
  try {
    // Loaded here and not above: what cannot be fetched is an error that can be told.
    const { open } = await import("./seq2seq.js").catch((error) => {
      throw new Error(
        `LiteRT.js cannot be loaded from ${from} (${error.message}). ` +
        "Go online, or export the page with --litertjs, which gives it its own copy.");
    });
    const model = await open(document.body.dataset.wasm);
    input.disabled = false;
    message.textContent = "";
    let last = Promise.resolve();
    // One request after the other: the model has one set of buffers.
    const turn = (work) => (last = last.then(work, work));
    if (model.kind === "waveform") {
      hear(model, (samples) => turn(() => show(model, samples)));
    } else if (model.kind === "features") {
      look((frames) => turn(() => show(model, frames)));
    } else {
      const later = () => turn(() => show(model, input.value));
      input.addEventListener("input", later);
      input.value = new URLSearchParams(location.search).get("q") ?? "";
      await later();
      input.focus();
    }
    await replay(model, turn).catch((error) => {
      check.textContent = `Not checked against the export: ${error.message}`;
    });
  } catch (error) {
    message.textContent = `The model cannot be loaded: ${error.message}`;
  } finally {
    clearTimeout(waiting);
  }
  document.body.dataset.ready = "yes";
}

begin();

// What the page of a server does: asks for the models, sends a source, shows what comes.

import { attentionTable } from "./attention.js";
import { readFrames } from "./frames.js";
import { listen } from "./sound.js";

const at = (id) => document.getElementById(id);
const form = at("form"), source = at("source"), message = at("message"), live = at("live");
let models = [], running = null, sound = null, frames = null;

function headers() {
  const key = at("key").value;
  return { "Content-Type": "application/json", ...(key && { "X-Api-Key": key }) };
}

async function failed(response) {
  if (response.status === 401) at("key-field").hidden = false;
  let words = response.statusText;
  try { words = (await response.json()).error ?? words; } catch { /* not ours */ }
  return new Error(words);
}

async function list() {
  const response = await fetch("models", { headers: headers() });
  if (!response.ok) throw await failed(response);
  models = (await response.json()).models;
  at("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  at("model-field").hidden = models.length < 2;
  chosen();
}

function model() {
  return models.find(({ name }) => name === at("model").value);
}

// Shows the fields of what the model takes.
function chosen() {
  const { name = "the model", version, inputs = ["text"], has_options: hasOptions = false } =
    model() ?? {};
  const hears = inputs.includes("waveform"), looks = inputs.includes("features");
  at("title").textContent = name;
  at("version").textContent = version ? `version ${version}` : "";
  at("n-best-field").hidden = !hasOptions;
  at("text-field").hidden = hears || looks;
  at("sound-field").hidden = !hears;
  at("frames-field").hidden = !looks;
  at("send").disabled = (hears && !sound) || (looks && !frames);
}

function clear() {
  message.textContent = live.textContent = at("time").textContent = at("unseen").textContent = "";
  at("targets").replaceChildren();
  at("attention").replaceChildren();
  at("result").hidden = true;
}

// The source as the server takes it; numbers with the digits that they have.
function asked() {
  const { inputs } = model();
  if (inputs.includes("waveform")) {
    // Five digits are finer than 16 bits.
    return { waveform: Array.from(sound ?? [], (value) => Math.round(value * 1e5) / 1e5) };
  }
  if (inputs.includes("features")) {
    const { length, width, values } = frames;
    const row = (i) => Array.from(values.subarray(i * width, (i + 1) * width),
      (value) => Number(value.toPrecision(9)));
    return { features: Array.from({ length }, (_, i) => row(i)) };
  }
  return { text: source.value };
}

// The events of a body, as { name, data }.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const [name, data] = text.slice(0, end).split("\n");
      yield { name: name.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
    }
  }
}

function show({ text, log_probs: logProbs, scores }) {
  live.textContent = "";
  const items = text.map((target, i) => {
    const item = document.createElement("li");
    item.textContent = target || "(empty)";
    const numbers = document.createElement("small");
    numbers.textContent = `log probability ${logProbs[i].toFixed(3)}, score ${scores[i].toFixed(3)}`;
    item.append(numbers);
    return item;
  });
  // A slot without a hypothesis has a log probability that no text can have.
  at("targets").replaceChildren(...items.filter((_, i) => logProbs[i] > -5e8));
}

async function generate() {
  running?.abort();
  const mine = running = new AbortController();
  clear();
  try {
    if (!models.length) await list();
    const { name, has_attention: hasAttention } = model(), begin = performance.now();
    const nBest = Number(at("n-best").value);
    const body = asked();
    if (nBest && !at("n-best-field").hidden) body.n_best = nBest;
    const response = await fetch(`v1/models/${encodeURIComponent(name)}/generate_stream?attention=1`,
      { method: "POST", headers: headers(), body: JSON.stringify(body), signal: mine.signal });
    if (!response.ok) throw await failed(response);
    at("result").hidden = false;
    let first = 0;
    for await (const event of events(response.body)) {
      first ||= performance.now() - begin;
      if (event.name === "error") throw new Error(event.data.error);
      if (event.name === "token") live.textContent = event.data.text;
      if (event.name === "attention") at("attention").replaceChildren(attentionTable(event.data));
      if (event.name !== "done") continue;
      show(event.data);
      at("time").textContent = `${(performance.now() - begin).toFixed(0)} ms, the first after ${first.toFixed(0)} ms`;
      if (!hasAttention) {
        at("unseen").textContent =
          "Where the model looked is told of a run, and of an export made with --alignments, where the model has attention.";
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") message.textContent = error.message;
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); generate(); });
source.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); generate(); }
});
at("model").addEventListener("change", () => { running?.abort(); clear(); chosen(); });
listen({
  button: at("record"),
  file: at("file"),
  status: at("sound"),
  rate: () => model().sample_rate,
  heard: (samples) => { sound = samples; chosen(); return generate(); },
  failed: (words) => { message.textContent = words; },
});
at("frames-file").addEventListener("change", async ({ target }) => {
  if (!target.files.length) return;
  clear();
  try {
    frames = await readFrames(target.files[0]);
    at("frames").textContent = `${frames.length} frames of ${frames.width} values`;
    chosen();
    await generate();
  } catch (error) {
    message.textContent = error.message;
  }
});
list().catch((error) => { message.textContent = error.message; }).finally(() => {
  source.value = new URLSearchParams(location.search).get("q") ?? "";
  if (source.value) generate();
});

// What the page shows: the targets of what is typed, where the model looked, and whether the
// model gives what it gave where it was exported.

import { listen } from "./sound.js";

const [input, message, unknown, targets, attention, time, check, differences] =
  ["source", "message", "unknown", "targets", "attention", "time", "check", "differences"]
    .map((id) => document.getElementById(id));

// What is slower than this is said to be waited for.
const SLOW_MILLISECONDS = 15000;

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

// A space would not be seen.
function visible(token) {
  return token.replace(/\s/gu, "␣") || "∅";
}

// One row a target token, one column a source token, darker for more weight.
function picture(result) {
  const table = element("table");
  table.createCaption().textContent = "attention: source above, target at the left";
  const head = table.createTHead().insertRow();
  head.append(element("td"));
  const isSound = !result.isUnknown.length;
  result.sourceTokens.forEach((token, column) => {
    const name = element("span", isSound ? token : visible(token));
    if (token.length < 4) name.classList.add("short");
    if (result.isUnknown[column]) name.classList.add("unknown");
    const cell = element("th");
    cell.scope = "col";
    cell.append(name);
    head.append(cell);
  });
  const body = table.createTBody();
  result.alignment.forEach((weights, row) => {
    const line = body.insertRow();
    const name = element("th", visible(result.targetTokens[row]));
    name.scope = "row";
    line.append(name);
    for (const weight of weights) {
      const cell = element("td");
      // A style attribute is forbidden to this page; its script may set the property.
      cell.style.background = `rgba(60, 130, 215, ${weight.toFixed(3)})`;
      cell.title = weight.toFixed(3);
      line.append(cell);
    }
  });
  return table;
}

function clear() {
  for (const one of [message, unknown, time]) one.textContent = "";
  targets.replaceChildren();
  attention.replaceChildren();
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
    if (result.alignment) attention.append(picture(result));
  } catch (error) {
    clear();
    message.textContent = error.message;
  }
}

function shown(source) {
  return typeof source === "string" ? `“${visible(source)}”` : `a sound of ${source.length} samples`;
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

// Shows what takes sound in the place of the field for text.
function hear(model, heard) {
  const [button, file, status] = ["record", "file", "sound"].map((id) => document.getElementById(id));
  listen({
    button, file, status, heard,
    rate: () => model.sampleRate,
    failed: (words) => { clear(); message.textContent = words; },
  });
  button.disabled = file.disabled = false;
  document.getElementById("text-field").hidden = true;
  document.getElementById("sound-field").hidden = false;
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
    if (model.sampleRate) {
      hear(model, (samples) => turn(() => show(model, samples)));
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

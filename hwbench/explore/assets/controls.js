// The other controls: fields of the question, links of the views, and sliders of the device's values.
import { element } from "./tables.js";

const OF_NETWORKS = [
  ["dtype", "Number format", ["fp32", "amp", "fp16", "bf16", "int8", "fp64"]],
  ["runtime", "Runtime", ["", "torch-eager", "torch-compile", "onnxruntime", "openvino"]],
  ["math", "Math", ["default", "strict"]],
];
const OF_LANGUAGE = [
  ["weights", "Weights", ["", "q4_k_m", "q4_0", "q5_k_m", "q6_k", "q8_0", "f16", "bf16", "fp8", "int4-awq", "nf4", "mxfp4"]],
  ["prompt", "Prompt", null], ["generate", "Generate", null], ["context", "Context", null],
];
const TITLES = { "": "usual" };
const PLACES = { prompt: "512", generate: "128", context: "both" };

export function fields(place, state, language, changed) {
  const key = String(language);
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    place.replaceChildren();
    for (const [name, title, choices] of [...(language ? OF_LANGUAGE : OF_NETWORKS), ["batch", "Batch", null]]) {
      const label = element("label", title);
      const input = choices ? element("select", undefined, { name }) : element("input", undefined, {
        name, type: "number", min: "1", step: "1", inputmode: "numeric", placeholder: PLACES[name] || "1",
      });
      for (const choice of choices || []) input.append(element("option", TITLES[choice] || choice, { value: choice }));
      input.addEventListener("change", () => changed(name, input.value));
      label.append(input);
      place.append(label);
    }
  }
  for (const input of place.querySelectorAll("[name]")) {
    const value = state[input.name] || (input.name === "dtype" ? "fp32" : input.name === "math" ? "default" : "");
    if (document.activeElement !== input || input.tagName === "SELECT") input.value = value;
  }
}

// What a report was asked, in words: the fields that it cannot change.
export function fixed(state, language) {
  const asked = [...(language ? OF_LANGUAGE : OF_NETWORKS), ["batch", "Batch", null]];
  const changed = Object.entries(state.settings || {}).map(([field, value]) => [`${field} set to`, value]);
  return [...asked.filter(([name]) => state[name]).map(([name, title]) => [title, state[name]]), ...changed];
}

export function text(knob, value) {
  return knob.whole ? String(Math.round(value)) : `${Number(value.toPrecision(4))}${knob.unit}`;
}

const shown = (knob, value) => text(knob, value).replace(/([0-9])([A-Za-z])/, "$1 $2");
const position = (knob, value) => Math.log(value / knob.low) / Math.log(knob.high / knob.low);

// A slider for each knob, with the value that the catalog has and a way back to it.
export function sliders(place, knobs, values, changed) {
  place.hidden = knobs.length === 0;
  const key = JSON.stringify(knobs);
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    const reset = element("button", "Back to the catalog's values", { type: "button" });
    reset.addEventListener("click", () => changed(null, null));
    const box = element("details", undefined, window.innerWidth > 900 ? { open: "" } : {});
    const summary = element("summary");
    summary.append(element("h2", "What if"));
    box.append(summary, ...knobs.map((knob) => slider(knob, changed)), reset);
    place.replaceChildren(box);
  }
  for (const knob of knobs) {
    const own = place.querySelector(`.knob[data-field="${CSS.escape(knob.field)}"]`);
    const input = own.querySelector("input");
    const moved = Boolean(values[knob.field]);
    const value = moved ? parseFloat(values[knob.field]) : knob.value;
    own.classList.toggle("changed", moved);
    own.querySelector("output").textContent = shown(knob, value);
    input.setAttribute("aria-valuetext", shown(knob, value));
    if (document.activeElement !== input || !moved) input.value = String(position(knob, value));
  }
}

function slider(knob, changed) {
  const place = element("div", undefined, { class: "knob", "data-field": knob.field });
  const label = element("label", knob.title + " ");
  const input = element("input", undefined, { type: "range", min: "0", max: "1", step: "0.005", name: knob.field, list: `tick-${knob.field}` });
  const ticks = element("datalist", undefined, { id: `tick-${knob.field}` });
  ticks.append(element("option", undefined, { value: String(position(knob, knob.value)) }));
  input.addEventListener("input", () => {
    const value = knob.low * (knob.high / knob.low) ** Number(input.value);
    const near = Math.abs(Number(input.value) - position(knob, knob.value)) < 0.008;
    changed(knob.field, near ? null : text(knob, value));
  });
  const back = element("button", `↺ ${shown(knob, knob.value)}`, { type: "button", title: "Back to the catalog's value", "aria-label": `${knob.title}: back to ${shown(knob, knob.value)}` });
  back.addEventListener("click", () => changed(knob.field, null));
  label.append(element("output"), input, ticks);
  place.append(label, back);
  return place;
}

const VIEW_TITLES = {
  answer: "Answer", roofline: "Roofline", layers: "Layers", compare: "Compare", whatif: "What if",
  machine: "This machine", clock: "Clock", accuracy: "Accuracy",
};
export const titleOf = (name) => VIEW_TITLES[name] || name;

export function views(place, names, current, address, changed) {
  place.replaceChildren(...names.map((name) => {
    const item = element("li");
    const link = element("a", titleOf(name), { href: address(name) });
    if (name === current) link.setAttribute("aria-current", "page");
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      changed(name);
    });
    item.append(link);
    return item;
  }));
}

// The page: its state is the address, its answers are the server's, and nothing is computed here.
import { fields, sliders, views } from "./controls.js";
import { picker } from "./pickers.js";
import { choose, element, table } from "./tables.js";

const root = document.documentElement;
const by = (id) => document.getElementById(id);
const SINGLE = ["dtype", "batch", "runtime", "math", "weights", "prompt", "generate", "context"];
const LISTS = { model: "models", device: "devices" };
let names = { models: [], devices: [], views: [] };
let running = null;

// The address holds everything that is asked, so that it can be sent, kept and gone back to.
function read(search) {
  const query = new URLSearchParams(search);
  const state = { view: query.get("view") || "answer", models: query.getAll("model"), devices: query.getAll("device"), settings: {} };
  for (const name of SINGLE) state[name] = query.get(name) || "";
  for (const [name, value] of query) if (name.startsWith("set.")) state.settings[name.slice(4)] = value;
  if (!state.models.length) state.models = ["alexnet"];
  if (!state.devices.length) state.devices = ["rtx3090"];
  return state;
}
function query(state, more = {}) {
  const made = new URLSearchParams();
  for (const [field, list] of Object.entries(LISTS)) for (const name of state[list]) made.append(field, name);
  for (const name of SINGLE) if (state[name]) made.set(name, state[name]);
  for (const [field, value] of Object.entries(state.settings)) made.set(`set.${field}`, value);
  for (const [name, value] of Object.entries(more)) made.set(name, value);
  return made.toString();
}
const address = (state) => `/?${query(state, { view: state.view })}`;

let state = read(location.search || document.body.dataset.initial);

function go(change, replace) {
  state = { ...state, ...change };
  history[replace ? "replaceState" : "pushState"](null, "", address(state));
  show();
}
const kindOf = (name) => (names.models.find((choice) => choice.name === name) || {}).kind;

function controls() {
  showModels(state.models);
  showDevices(state.devices);
  const language = kindOf(state.models[0]) === "language";
  fields(by("fields"), state, language, (name, value) => go({ [name]: value }));
  views(by("views"), names.views, state.view, (view) => address({ ...state, view }), (view) => go({ view }));
}

// One question at a time: what is asked meanwhile waits, and only the last of it is asked.
let waiting = false;
function show() {
  controls();
  if (running) { waiting = true; if (running.view !== state.view) running.abort.abort(); return; }
  const abort = new AbortController();
  running = { abort, view: state.view };
  root.dataset.drawn = "no";
  root.dataset.busy = "yes";
  load(state, abort.signal).catch((error) => {
    if (error.name !== "AbortError") fail({ message: `The server does not answer (${error.message}).`, nearest: [] });
  }).finally(() => {
    running = null;
    root.dataset.busy = "no";
    if (waiting) { waiting = false; show(); } else root.dataset.drawn = "all";
  });
}

async function ask(asked, signal, more = {}) {
  const response = await fetch(`/api/view/${asked.view}?${query(asked, more)}`, { signal });
  return response.json();
}

async function load(asked, signal) {
  const first = await ask(asked, signal, asked.view === "whatif" ? { along: "batch" } : {});
  if (first.error) { fail(first.error); return; }
  by("error").hidden = true;
  window.hwbenchAnswer = first.answer; // also for the console
  by("sentence").textContent = first.sentence;
  document.title = `${asked.models[0]} on ${asked.devices[0]} · hwbench`;
  sliders(by("knobs"), first.knobs, state.settings, (field, value) => {
    const settings = field === null ? {} : { ...state.settings };
    if (value === null) delete settings[field]; else settings[field] = value;
    go({ settings }, true);
  });
  const sections = [...first.sections];
  if (asked.view === "whatif") {
    const others = kindOf(asked.models[0]) === "language" ? ["context"] : first.knobs.map((knob) => knob.field);
    for (const along of others) {
      const next = await ask(asked, signal, { along });
      if (next.sections) sections.push(...next.sections);
    }
  }
  by("content").classList.toggle("multiples", asked.view === "whatif");
  await render(by("content"), sections);
}

function fail(error) {
  const hint = error.nearest.length ? ` Nearest: ${error.nearest.join(", ")}.` : "";
  by("error").textContent = error.message + hint;
  by("error").hidden = false;
  by("sentence").textContent = "";
  by("content").replaceChildren();
}

// Figures stay in place while their numbers change, so that a slider moves them without a flicker.
async function render(place, sections) {
  const kept = [];
  for (const section of sections) {
    const made = place.querySelector(`section[data-name="${CSS.escape(section.name)}"]`) || element("section", undefined, { "data-name": section.name });
    kept.push(made);
    if (made.parentElement !== place) place.append(made);
    const alone = section.parts.length === 1 && section.parts[0].title === section.title;
    const parts = [...(alone ? [] : [element("h2", section.title)]), ...section.sentences.map((sentence) => element("p", sentence))];
    const figures = [];
    for (const part of section.parts) {
      if (!part.traces) { parts.push(table(part)); continue; }
      const drawn = figure(made, part);
      parts.push(drawn);
      figures.push(part);
    }
    made.replaceChildren(...parts);
    for (const part of figures) await draw(part);
  }
  for (const child of Array.from(place.children)) if (!kept.includes(child)) child.remove();
}

function figure(section, part) {
  const old = section.querySelector(`figure[data-name="${CSS.escape(part.name)}"]`);
  const made = old || element("figure", undefined, { "data-name": part.name });
  if (!old) {
    const plot = element("div", undefined, { class: "plot", id: part.name, role: "group" });
    plot.style.height = `${part.height}px`;
    const details = element("details");
    details.append(element("summary", "The numbers behind it"));
    made.append(element("figcaption"), element("p", "", { class: "note" }), plot, details);
  }
  made.querySelector("figcaption").textContent = part.title;
  made.querySelector(".plot").setAttribute("aria-label", part.alternative);
  made.querySelector(".note").textContent = part.note;
  const numbers = made.querySelector("details");
  numbers.replaceChildren(numbers.firstElementChild, table(part.table));
  return made;
}

async function draw(part) {
  await hwbench.draw(part);
  const plot = by(part.name);
  if (plot.dataset.listens) return;
  plot.dataset.listens = "yes";
  plot.on("plotly_click", (event) => {
    const name = event.points[0].customdata;
    if (name) choose(plot.closest("figure"), name);
  });
}

hwbench.theme(by("theme"), show);
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("link").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(location.href); by("link").textContent = "Copied"; } catch { prompt("The link", location.href); }
  setTimeout(() => { by("link").textContent = "Copy link"; }, 1500);
});
by("json").addEventListener("click", () => hwbench.save("hwbench.json", "application/json", JSON.stringify(window.hwbenchAnswer)));
window.addEventListener("popstate", () => { state = read(location.search); show(); });

names = await (await fetch("/api/names")).json();
const showModels = picker(by("models"), "Model", names.models, 6, (models) => go({ models }));
const showDevices = picker(by("devices"), "Device", names.devices, 12, (devices) => go({ devices, settings: {} }));
history.replaceState(null, "", address(state));
show();

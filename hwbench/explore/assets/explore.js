// The page: its state is the address, its answers are the server's or inside the file, and nothing is computed here.
import { fields, fixed, sliders, titleOf, views } from "./controls.js";
import { picker } from "./pickers.js";
import { choose, element, table } from "./tables.js";

const root = document.documentElement;
const by = (id) => document.getElementById(id);
const inside = (id) => JSON.parse((by(id) || { textContent: "null" }).textContent);
const saved = inside("saved"); // of a report: what it answers, and the answers
const SINGLE = ["dtype", "batch", "runtime", "math", "weights", "prompt", "generate", "context"];
const LISTS = { model: "models", device: "devices" };
const names = saved ? saved.names : await (await fetch("/api/names")).json();
let running = null;

// The address holds everything that is asked, so that it can be sent, kept and gone back to.
function read(search) {
  const query = new URLSearchParams(search);
  if (saved && !query.has("model")) return { view: "", ...saved.state };
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
const address = (state) => (saved ? "#" : "/?") + query(state, state.view ? { view: state.view } : {});
const asked = () => (saved ? location.hash.slice(1) : location.search);

let state = read(asked() || document.body.dataset.initial);

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
  if (saved) showFixed(language);
  else fields(by("fields"), state, language, (name, value) => go({ [name]: value }));
  const own = names.views.filter((view) => (saved ? answer(state, view) : !(language && ["roofline", "layers"].includes(view))));
  views(by("views"), own, state.view, (view) => address({ ...state, view }), (view) => go({ view }));
  by("report").href = `/report?${query(state)}`;
  const [nav, header] = [by("views").parentElement, by("views").closest("header")];
  if (saved) header.style.top = `${nav.offsetHeight - header.offsetHeight}px`; // all but the views scrolls away
}
function showFixed(language) {
  const known = fixed(state, language).map(([title, value]) => element("span", `${title} ${value}`));
  by("fields").replaceChildren(...known);
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

const answer = (state, view) => saved.answers[`${view} ${state.models[0]} ${state.devices[0]}`] || saved.answers[view];

async function ask(asked, view, signal, more = {}) {
  if (saved) return answer(asked, view);
  const response = await fetch(`/api/view/${view}?${query(asked, more)}`, { signal });
  return response.json();
}

async function load(asked, signal) {
  const shown = saved ? names.views.filter((view) => answer(asked, view)) : [asked.view];
  const places = [];
  let told = "";
  for (const view of shown) {
    const first = await ask(asked, view, signal);
    if (first.error) { fail(first.error); return; }
    if (view === shown[0]) head(asked, first);
    const sections = [...first.sections];
    for (const along of first.more) sections.push(...((await ask(asked, view, signal, { along })).sections || []));
    const place = by(`view-${view}`) || element("div", undefined, { class: "view", id: `view-${view}`, "data-view": view });
    places.push(place);
    if (place.parentElement !== by("content")) by("content").append(place);
    const title = saved ? [element("h2", titleOf(view))] : [];
    if (told && told !== first.sentence) title.push(element("p", first.sentence));
    told = first.sentence;
    await render(place, title, sections);
  }
  for (const child of Array.from(by("content").children)) if (!places.includes(child)) child.remove();
  if (saved && asked.view && by(`view-${asked.view}`)) by(`view-${asked.view}`).scrollIntoView();
}

function head(asked, first) {
  by("error").hidden = true;
  window.hwbenchAnswer = first.answer; // also for the console
  by("sentence").textContent = first.sentence;
  if (saved) return;
  document.title = `${first.about[0] || asked.models[0]} on ${first.about[1] || asked.devices[0]} · hwbench`;
  const asks = Object.fromEntries(first.knobs.filter((knob) => SINGLE.includes(knob.field)).map((knob) => [knob.field, ""]));
  const values = { ...state.settings };
  for (const field of Object.keys(asks)) values[field] = state[field];
  sliders(by("knobs"), first.knobs, values, (field, value) => {
    if (field in asks) { go({ [field]: value || "" }, true); return; }
    const settings = field === null ? {} : { ...state.settings };
    if (value === null) delete settings[field]; else settings[field] = value;
    go({ settings, ...(field === null ? asks : {}) }, true);
  });
}

function fail(error) {
  const hint = error.nearest.length ? ` Nearest: ${error.nearest.join(", ")}.` : "";
  by("error").textContent = error.message + hint;
  by("error").hidden = false;
  by("sentence").textContent = "";
  by("content").replaceChildren();
}

// Figures stay in place while their numbers change, so that a slider moves them without a flicker.
async function render(place, title, sections) {
  const kept = [];
  for (const section of sections) {
    const made = place.querySelector(`section[data-name="${CSS.escape(section.name)}"]`) || element("section", undefined, { "data-name": section.name });
    const alone = section.parts.length === 1 && section.parts[0].title === section.title;
    const parts = [...(alone ? [] : [element(saved ? "h3" : "h2", section.title)]), ...section.sentences.map((sentence) => element("p", sentence))];
    const figures = section.parts.filter((part) => part.traces);
    for (const part of section.parts) parts.push(part.traces ? figure(made, part) : table(part));
    made.replaceChildren(...parts);
    kept.push([made, figures]);
  }
  place.replaceChildren(...title, ...kept.map(([made]) => made));
  for (const part of kept.flatMap(([, figures]) => figures)) await draw(part);
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
root.dataset.saved = saved ? "yes" : "no";
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("link").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(location.href); by("link").textContent = "Copied"; } catch { prompt("The link", location.href); }
  setTimeout(() => { by("link").textContent = "Copy link"; }, 1500);
});
by("json").addEventListener("click", () => {
  const content = saved ? by("data").textContent : JSON.stringify(window.hwbenchAnswer);
  hwbench.save("hwbench.json", "application/json", content);
});
window.addEventListener("popstate", () => { state = read(asked()); show(); });

const showModels = picker(by("models"), "Model", names.models, 6, (models) => go({ models }), Boolean(saved));
const showDevices = picker(by("devices"), "Device", names.devices, 12, (devices) => go({ devices, ...(saved ? {} : { settings: {} }) }), Boolean(saved));
if (!saved) history.replaceState(null, "", address(state));
show();

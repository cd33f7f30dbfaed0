// Pickers that search as one types: an ARIA combobox, with chips for what is chosen. The first chip is looked at.
import { element } from "./tables.js";

const MOST = 40;
const plain = (text) => text.toLowerCase().replace(/[^a-z0-9.]+/g, "");

function found(choices, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean).map(plain);
  const whole = plain(typed);
  const rated = [];
  for (const choice of choices) {
    const name = plain(choice.name);
    const all = plain(`${choice.name} ${choice.title} ${choice.words}`);
    if (!words.every((word) => all.includes(word))) continue;
    rated.push([name === whole ? 0 : name.startsWith(whole) ? 1 : name.includes(whole) ? 2 : 3, choice]);
  }
  return rated.sort((a, b) => a[0] - b[0]).slice(0, MOST).map(([, choice]) => choice);
}

export function picker(place, title, choices, most, changed, fixed) {
  const id = place.id;
  const label = element("label", title);
  const input = element("input", undefined, {
    role: "combobox", type: "text", autocomplete: "off", spellcheck: "false", "aria-expanded": "false",
    "aria-autocomplete": "list", "aria-controls": `${id}-options`, placeholder: "type to search",
  });
  const options = element("ul", undefined, { class: "options", role: "listbox", id: `${id}-options`, "aria-label": title });
  const chips = element("ul", undefined, { class: "chips", "aria-label": `${title}, chosen` });
  options.hidden = true;
  label.append(input);
  place.append(...(fixed ? [element("span", title)] : [label, options]), chips);
  let listed = [];
  let at = -1;
  let chosen = [];

  function mark(index) {
    at = index;
    Array.from(options.children).forEach((option, i) => option.setAttribute("aria-selected", String(i === at)));
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", `${id}-${at}`);
      options.children[at].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }
  function close() {
    options.hidden = true;
    input.setAttribute("aria-expanded", "false");
    mark(-1);
  }
  function open() {
    listed = found(choices, input.value).filter((choice) => !chosen.includes(choice.name));
    options.replaceChildren(...listed.map((choice, index) => {
      const option = element("li", choice.title + " ", { role: "option", id: `${id}-${index}`, "aria-selected": "false" });
      if (choice.title !== choice.name) option.append(element("small", choice.name));
      option.addEventListener("mousedown", (event) => { event.preventDefault(); add(choice.name); });
      return option;
    }));
    options.hidden = listed.length === 0;
    input.setAttribute("aria-expanded", String(!options.hidden));
    mark(listed.length && input.value ? 0 : -1);
  }
  function add(name) {
    input.value = "";
    close();
    changed([name, ...chosen.filter((other) => other !== name)].slice(0, most));
  }
  input.addEventListener("input", open);
  input.addEventListener("focus", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && options.hidden) open();
    else if (event.key === "ArrowDown") mark(Math.min(at + 1, listed.length - 1));
    else if (event.key === "ArrowUp") mark(Math.max(at - 1, 0));
    else if (event.key === "Escape") close();
    else if (event.key === "Enter") { if (at >= 0 && !options.hidden) add(listed[at].name); }
    else return;
    event.preventDefault();
  });

  const titles = new Map(choices.map((choice) => [choice.name, choice.title]));
  return function show(names) {
    chosen = names;
    chips.replaceChildren(...names.map((name, index) => {
      const chip = element("li", undefined, index ? {} : { class: "first" });
      const look = element("button", titles.get(name) || name, { type: "button", "aria-pressed": String(!index) });
      look.addEventListener("click", () => changed([name, ...names.filter((other) => other !== name)]));
      chip.append(look);
      if (names.length > 1 && !fixed) {
        const away = element("button", "×", { type: "button", "aria-label": `Remove ${name}` });
        away.addEventListener("click", () => changed(names.filter((other) => other !== name)));
        chip.append(away);
      }
      return chip;
    }));
  };
}

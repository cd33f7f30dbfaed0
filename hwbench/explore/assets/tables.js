// Tables that can be sorted by any column, and saved as CSV.

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function table(data) {
  const side = (index) => (data.right.includes(index) ? { class: "r" } : {});
  const made = element("table");
  const head = element("tr");
  data.header.forEach((title, index) => head.append(element("th", title, { scope: "col", ...side(index) })));
  const [top, body] = [element("thead"), element("tbody")];
  top.append(head);
  for (const row of data.rows) {
    const line = element("tr");
    row.forEach((value, index) => {
      const [text, number] = Array.isArray(value) ? value : [value === null ? "-" : value];
      const cell = element("td", text, side(index));
      if (number !== undefined) cell.dataset.v = String(number);
      line.append(cell);
    });
    body.append(line);
  }
  made.append(element("caption", data.caption), top, body);
  hwbench.sortable(made);
  const place = element("div", undefined, { class: "table", tabindex: "0", role: "region", "aria-label": data.caption });
  place.append(made);
  const save = element("button", "Save as CSV", { type: "button", class: "csv" });
  save.addEventListener("click", () => {
    hwbench.save(data.caption.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 60) + ".csv", "text/csv", hwbench.csv(made));
  });
  const both = element("div", undefined, { class: "with-csv" });
  both.append(place, save);
  return both;
}

// Mark the row of a name, and bring it into view.
export function choose(place, name) {
  for (const row of place.querySelectorAll("tbody tr")) {
    const own = row.cells[0].textContent === name;
    row.classList.toggle("chosen", own);
    if (own) {
      const details = row.closest("details");
      if (details) details.open = true;
      row.scrollIntoView({ block: "center" });
    }
  }
}

export { element };

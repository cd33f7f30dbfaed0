// Tables that can be sorted by any column, and saved as CSV.

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function sorted(rows, column, down) {
  const key = (row) => (row[column][1] === null ? row[column][0] : row[column][1]);
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (typeof x === "number" && typeof y === "number") return x - y;
    return String(x).localeCompare(String(y), "en", { numeric: true });
  };
  return [...rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
}

function body(data, rows) {
  const made = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach(([text, value], index) => {
      const cell = element("td", text, data.right.includes(index) ? { class: "r" } : {});
      if (value !== null) cell.dataset.v = String(value);
      line.append(cell);
    });
    made.append(line);
  }
  return made;
}

export function table(data) {
  const made = element("table");
  made.append(element("caption", data.caption));
  const head = element("tr");
  data.header.forEach((title, index) => {
    const cell = element("th", undefined, { scope: "col", "aria-sort": "none" });
    if (data.right.includes(index)) cell.classList.add("r");
    const button = element("button", title, { type: "button" });
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      made.tBodies[0].replaceWith(body(data, sorted(data.rows, index, down)));
    });
    cell.append(button);
    head.append(cell);
  });
  const top = element("thead");
  top.append(head);
  made.append(top, body(data, data.rows));
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

"use strict";
// Figures in the colors of the page, tables that sort and are saved as CSV, the theme.
const hwbench = (function () {
  const root = document.documentElement;
  const base = {};
  const narrow = () => window.innerWidth < 600;

  function dark() {
    const chosen = root.dataset.theme;
    return chosen === "auto" ? window.matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
  }

  // Colors come from the page's own style, so that a figure is in the theme of the page around it.
  function themed(layout) {
    const style = getComputedStyle(root);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--soft"), automargin: true };
    const made = Object.assign({ margin: { l: 60, r: 16, t: 34, b: 48 }, hovermode: "closest" }, layout, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: color("--fg"), family: "system-ui, sans-serif", size: narrow() ? 11 : 13 },
      hoverlabel: { align: "left", namelength: -1 },
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: color("--soft"), activecolor: color("--accent") },
      legend: Object.assign({ itemsizing: "constant", maxheight: 1000, orientation: "h", x: 0, y: 1.01, yanchor: "bottom" }, layout.legend || {}),
    });
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) made[key] = Object.assign({}, axis, layout[key]);
    }
    // Names that cross lines, at the left, stay readable; those at the right let points show through.
    const behind = (one) => (one.xanchor === "left" ? color("--card") + "90" : "rgba(0,0,0,0)");
    if (layout.annotations) made.annotations = layout.annotations.map((one) => Object.assign({ bgcolor: behind(one), borderpad: 1, font: { size: narrow() ? 9.5 : 13 } }, one));
    made.xaxis = made.xaxis || axis;
    made.yaxis = made.yaxis || axis;
    if (narrow()) made.margin = Object.assign({}, made.margin, { l: Math.min(made.margin.l, 48), r: 18 });
    else made.margin = Object.assign({}, made.margin, { r: Math.max(made.margin.r, 40) });
    return made;
  }

  function draw(figure) {
    const place = document.getElementById(figure.name);
    const config = { displaylogo: false, responsive: true, displayModeBar: narrow() ? false : "hover", showTips: false,
      plotlyServerURL: "",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
    // A long legend makes the figure longer, not its plot smaller.
    const names = figure.traces.filter((trace) => trace.showlegend !== false).length;
    const rows = Math.ceil(names / (narrow() ? 1 : 4));
    base[figure.name] = base[figure.name] || parseInt(place.style.height, 10);
    place.style.height = base[figure.name] + 19 * Math.max(0, rows - 2) + "px";
    return Plotly.react(place, figure.traces, themed(figure.layout), config).then(() => { place.dataset.drawn = "yes"; });
  }

  function save(name, type, content) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function csv(table) {
    const cell = (element) => {
      let value = element.dataset.v === undefined ? element.textContent : element.dataset.v;
      // A spreadsheet runs a cell that begins like a formula: such a name is quoted as text.
      if (element.dataset.v === undefined && /^[=+\-@\t\r]/.test(value) && value !== "-") value = "'" + value;
      return /[",\n\r]/.test(value) ? '"' + value.replace(/"/g, '""') + '"' : value;
    };
    return Array.from(table.rows, (row) => Array.from(row.cells, cell).join(",")).join("\n") + "\n";
  }

  // A click on the header of a column sorts by it, by the numbers where there are some.
  function sortable(table) {
    const head = Array.from(table.tHead.rows[0].cells);
    const key = (row, index) => {
      const cell = row.cells[index];
      return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
    };
    head.forEach((cell, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = (one, other) => {
          const [x, y] = [key(one, index), key(other, index)];
          if (typeof x === "number" && typeof y === "number") return x - y;
          return String(x).localeCompare(String(y), "en", { numeric: true });
        };
        const rows = Array.from(table.tBodies[0].rows).sort((one, other) => (down ? order(other, one) : order(one, other)));
        table.tBodies[0].append(...rows);
      });
    });
  }

  // The theme is that of the system unless another is chosen, which is remembered where the browser allows it.
  function theme(select, redraw) {
    try { select.value = localStorage.getItem("hwbench-theme") || "auto"; } catch { select.value = "auto"; }
    root.dataset.theme = select.value;
    select.addEventListener("change", () => {
      root.dataset.theme = select.value;
      try { localStorage.setItem("hwbench-theme", select.value); } catch { /* private windows forget it */ }
      redraw();
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  return { dark: dark, draw: draw, save: save, csv: csv, sortable: sortable, theme: theme };
})();

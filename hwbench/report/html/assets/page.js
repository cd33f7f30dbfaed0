"use strict";
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const { draw, save, csv } = hwbench;

  // One figure at a time, so that a long page can be read and scrolled while the rest is drawn.
  function drawAll() {
    let chain = Promise.resolve();
    for (const figure of figures) {
      chain = chain.then(() => new Promise((next) => setTimeout(next, 0))).then(() => draw(figure));
    }
    return chain.then(() => { root.dataset.drawn = "all"; });
  }

  document.getElementById("json").addEventListener("click", () => {
    save("hwbench-report.json", "application/json", document.getElementById("data").textContent);
  });
  for (const button of document.querySelectorAll("button.csv")) {
    button.addEventListener("click", () => {
      const table = button.previousElementSibling.querySelector("table");
      save(table.caption.textContent.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 60) + ".csv", "text/csv", csv(table));
    });
  }
  for (const table of document.querySelectorAll("table")) hwbench.sortable(table);
  hwbench.theme(document.getElementById("theme"), drawAll);
  window.hwbenchCsv = csv;
  if (figures.length) drawAll(); else root.dataset.drawn = "all";
})();

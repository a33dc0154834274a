"use strict";

// Sort by a column: the first click puts the better end first, the second one reverses the order.
for (const table of document.querySelectorAll("table.board")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, index) => {
    heading.querySelector("button").addEventListener("click", () => {
      const first = heading.dataset.best === "high" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const numeric = heading.classList.contains("number");
      const value = (row) => row.cells[index].dataset.value;
      const compare = (a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (numeric ? x - y : x.localeCompare(y, "en"));
      };
      body.append(...[...original].sort(compare));
    });
  });
}

// Filter tracks by their parts, and rows by method.
const form = document.getElementById("filters");
const filter = () => {
  const method = form.elements.method.value.trim().toLowerCase();
  let left = 0;
  for (const section of document.querySelectorAll("section.track")) {
    const chosen = [...form.querySelectorAll("select")].every(
      (select) => !select.value || section.dataset[select.name] === select.value
    );
    section.hidden = !chosen;
    left += chosen;
    for (const row of section.querySelectorAll("table.board tbody tr")) {
      const name = row.querySelector("th.name").dataset.value.toLowerCase();
      const published = row.classList.contains("published");
      row.hidden = !name.includes(method) || (published && !form.elements.published.checked);
    }
  }
  document.getElementById("nothing").hidden = left > 0;
};
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
if (document.querySelector("section.track")) {
  form.hidden = false;
  filter();
}

// Choose which plot a figure shows.
for (const figure of document.querySelectorAll("figure.choose")) {
  const select = figure.querySelector("select");
  const choices = [...figure.querySelectorAll(".choice")];
  const show = () => choices.forEach((each, i) => { each.hidden = i !== Number(select.value); });
  select.addEventListener("input", show);
  show();
}

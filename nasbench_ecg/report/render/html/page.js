"use strict";

// Sort by a column: the first click puts the better end first, the second one reverses the order.
for (const table of document.querySelectorAll("table.board")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, index) => {
    heading.querySelector("button")?.addEventListener("click", () => {
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

// Filter by the parts of a track, and by method: tables, verdicts, plots and what belongs to them.
const form = document.getElementById("filters");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const methodOfNumber = new Map(all(".legend li, table.board tbody tr").map((each) => [
  each.querySelector("[data-number]")?.dataset.number,
  each.dataset.method ?? each.querySelector("th.name").dataset.value,
]));
const hide = (elements, hidden) => elements.reduce((left, each) => {
  each.toggleAttribute("hidden", hidden(each));
  return left + !each.hasAttribute("hidden");
}, 0);
const filter = () => {
  const wanted = form.elements.method.value.trim().toLowerCase();
  const published = form.elements.published?.checked ?? true;
  const other = (name) => !name.toLowerCase().includes(wanted);
  const otherRow = (row) => {
    const names = [...row.cells].slice(0, 2).filter((cell) => cell.matches("th.name"));
    return (names.length && names.every((cell) => other(cell.dataset.value)))
      || (row.classList.contains("published") && !published);
  };
  const otherTrack = (part) => all("select", form).some(
    (select) => select.value && !part.dataset[select.name].split(" ").includes(select.value)
  );
  hide(all("[data-method]"), (each) => other(each.dataset.method));
  hide(all("section.track figure [data-number]"), (each) => {
    const name = methodOfNumber.get(each.dataset.number);
    return name !== undefined && other(name);
  });
  for (const part of all(".verdicts tbody")) {
    const left = hide(all("tr:not(.group)", part), otherRow);
    part.hidden = !left || otherTrack(part);
  }
  hide(all(".verdicts"), (section) => !section.querySelector("tbody:not([hidden])"));
  hide(all(".across figure"), (figure) => otherTrack(figure) || !figure.querySelector("[data-method]:not([hidden])"));
  hide(all(".across"), (section) => !section.querySelector("figure:not([hidden])"));
  const left = hide(all("section.track"), (section) => {
    hide(all("table.board tbody tr, table.plain tbody tr", section), otherRow);
    hide(all("details:not(.reading), figure.choose", section), (part) => {
      const items = all("tbody tr:not(.matrix tr), [data-method]", part);
      return items.every((each) => each.hasAttribute("hidden"));
    });
    return otherTrack(section) || !section.querySelector("table.board tbody tr:not([hidden])");
  });
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

// Sort a table by a click on the head of a column. Without this script the table is there, in the order of names.
"use strict";
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const value = (row, i) => row.cells[i].dataset.sort ?? row.cells[i].textContent;
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (!body.rows.length || body.rows[0].cells[i].dataset.sort === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    const arrow = document.createElement("span");
    arrow.className = "arrow";
    button.insertBefore(arrow, button.querySelector("small"));
    head.append(button);
    if (i === 0) head.setAttribute("aria-sort", "ascending");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      // Names from A, points from the lowest: who needs help comes first.
      const down = before === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (a, b) =>
        i === 0 ? value(a, i).localeCompare(value(b, i)) : Number(value(a, i)) - Number(value(b, i));
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b));
      body.append(...rows);
    });
  });
}
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) {
    fold.open = true;
    addEventListener("afterprint", () => { fold.open = false; }, { once: true });
  }
});

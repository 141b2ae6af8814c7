// The page as a whole: dark or light, what is copied, and tables that sort and filter.

function tell(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  window.setTimeout(() => { if (said.textContent === text) said.textContent = ""; }, 2500);
}

// The clipboard is closed to some pages that are opened from a disk; then the text is shown.
async function copied(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    tell(`${what} is copied.`);
  } catch {
    window.prompt(`${what}, to be copied:`, text);
  }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-query]");
  if (button) copied(button.dataset.query, "The query");
});

const root = document.documentElement;
function look(scheme) {
  root.style.colorScheme = scheme;
  root.classList.toggle("dark", scheme === "dark");
}
const system = window.matchMedia("(prefers-color-scheme: dark)");
look(system.matches ? "dark" : "light");
system.addEventListener("change", () => look(system.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () => look(root.classList.contains("dark") ? "light" : "dark"));

// A column whose cells all begin with a number sorts by it, any other by its letters.
const leading = (text) => Number.parseFloat(text.replace("−", "-").replaceAll(",", ""));
DataTable.type("leading-number", {
  detect: { oneOf: (cell) => /^[−-]?\d/u.test(cell), allOf: (cell) => /^([−-]?\d|–|$)/u.test(cell) },
  order: { pre: (cell) => { const value = leading(cell); return Number.isNaN(value) ? -Infinity : value; } },
  className: "",
});
const tables = new Map();
for (const table of document.querySelectorAll(".scroll table")) {
  if (table.querySelector("tr[data-query]")) {
    table.tHead.rows[0].append(element("th", {}, "query"));
    for (const row of table.tBodies[0].rows) {
      const name = row.cells[0].textContent.slice(0, 60);
      row.append(element("td", {}, element("button", { type: "button", class: "copy", "data-query": row.dataset.query, "aria-label": `Copy the query of ${name}` }, "Copy")));
    }
  }
  const many = table.tBodies[0].rows.length > 25;
  tables.set(table.id, new DataTable(table, {
    order: [], autoWidth: false, pageLength: 25, lengthMenu: [25, 100, -1],
    paging: many, info: many, searching: true,
    language: { lengthLabels: { "-1": "all" }, search: "Filter:", emptyTable: "Nothing to show" },
    columnDefs: table.querySelector("tr[data-query]") ? [{ targets: -1, orderable: false, searchable: false }] : [],
  }));
}
const claims = document.querySelector("#claims-told table");
for (const button of document.querySelectorAll("button[data-verdict]")) {
  button.addEventListener("click", () => {
    const filtered = tables.get(claims.id);
    const wanted = filtered.search() === button.dataset.verdict ? "" : button.dataset.verdict;
    filtered.search(wanted).draw();
  });
}
// A claim leads to its cells: the table that has them, filtered by it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-cells]");
  if (!link) return;
  event.preventDefault();
  const cells = document.getElementById("table-cells-of-the-claims");
  cells.closest("details").open = true;
  tables.get(cells.id).search(link.dataset.cells).draw();
  cells.closest("details").scrollIntoView();
});
// A link to a figure opens what it stands in.
function reveal() {
  const found = document.getElementById(window.location.hash.slice(1));
  const around = found?.closest("details");
  if (around && !around.open) { around.open = true; found.scrollIntoView(); }
}
window.addEventListener("hashchange", reveal);
reveal();

const explorer = document.getElementById("explorer");
if (explorer) startExplorer(explorer);

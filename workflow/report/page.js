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
// Below the heads of a table a row of filters, one a column: a choice where names are few,
// elsewhere words, and comparisons with the number that a cell begins with.
const COMPARISONS = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
function accepts(wanted) {
  const tests = wanted.toLowerCase().split(/\s+/u).filter(Boolean).map((part) => {
    const [, sign, number] = /^([<>]=?|=)([−-]?[\d.]+)$/u.exec(part) ?? [];
    return sign
      ? (cell) => COMPARISONS[sign](leading(cell), leading(number))
      : (cell) => cell.toLowerCase().includes(part);
  });
  return (cell) => tests.every((test) => test(cell));
}
const FEW = 30;
function addFilters(table, made, names, texts) {
  const row = element("tr", { class: "filters" });
  const fields = names.map((name, i) => {
    const found = [...new Set(texts.map((cells) => cells[i]))].sort();
    const choice = table.tHead.rows[0].cells[i].classList.contains("name") && found.length <= FEW;
    const label = { "aria-label": `Filter by ${name}` };
    const field = choice
      ? element("select", label, element("option", { value: "" }, "any"), found.map((text) => element("option", { value: text }, text)))
      : element("input", { ...label, type: "search", placeholder: texts.some((cells) => /^[−-]?\d/u.test(cells[i])) ? ">0.2 <0.5" : "words" });
    field.addEventListener("input", () => {
      const test = choice ? (cell) => cell === field.value : accepts(field.value);
      made.column(i).search.fixed("filter", field.value ? (cell, all, place) => test(texts[place][i]) : null).draw();
    });
    row.append(element("td", { class: choice ? "name" : null }, field));
    return [name, field];
  });
  if (table.tHead.rows[0].cells.length > names.length) row.append(element("td"));
  table.tHead.append(row);
  return Object.fromEntries(fields);
}

// Tables are made to sort and filter when they can be seen: long ones take a while.
const tables = new Map();
function wired(table) {
  if (tables.has(table)) return tables.get(table);
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent));
  const queried = rows[0].hasAttribute("data-query");
  if (queried) {
    table.tHead.rows[0].append(element("th", {}, "query"));
    rows.forEach((row, i) => row.append(element("td", {}, element("button", { type: "button", class: "copy", "data-query": row.dataset.query, "aria-label": `Copy the query of ${texts[i][0].slice(0, 60)}` }, "Copy"))));
  }
  const many = rows.length > 25;
  const made = new DataTable(table, {
    order: [], autoWidth: false, pageLength: 25, lengthMenu: [25, 100, -1],
    paging: many, info: many, searching: true,
    language: { lengthLabels: { "-1": "all" }, search: "Filter:", emptyTable: "Nothing to show" },
    columnDefs: queried ? [{ targets: -1, orderable: false, searchable: false }] : [],
  });
  tables.set(table, rows.length > 1 ? addFilters(table, made, names, texts) : {});
  return tables.get(table);
}
for (const table of document.querySelectorAll(".scroll table")) {
  const around = table.closest("details");
  if (around) around.addEventListener("toggle", () => around.open && wired(table));
  else wired(table);
}
function filterBy(table, column, value) {
  const field = wired(table)[column];
  if (!field) return;
  field.value = value;
  field.dispatchEvent(new Event("input"));
}

// What a verdict is chosen by shows whether it is.
const claims = document.querySelector("#claims-told table");
const verdicts = [...document.querySelectorAll("button[data-verdict]")];
const ofVerdict = claims && wired(claims).verdict;
ofVerdict?.addEventListener("input", () => {
  for (const button of verdicts) button.setAttribute("aria-pressed", String(button.dataset.verdict === ofVerdict.value));
});
for (const button of verdicts) {
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => filterBy(claims, "verdict", ofVerdict?.value === button.dataset.verdict ? "" : button.dataset.verdict));
}
// A claim leads to its cells: the table that has them, filtered by it.
function showCells(claim) {
  const cells = document.getElementById("table-cells-of-the-claims");
  cells.closest("details").open = true;
  filterBy(cells, "claim", claim);
  cells.closest("details").scrollIntoView();
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-cells]");
  if (!link) return;
  event.preventDefault();
  showCells(link.dataset.cells);
});

// The claims around the bounds of their rules: a verdict has a shape and a colour of its own.
function claimChart() {
  const points = JSON.parse(document.getElementById("claim-points").textContent);
  const data = points.map((one) => ({
    ...one,
    name: one.claim.replaceAll("_", " "),
    beyond: one.estimate - one.bound,
    from: (one.low ?? one.estimate) - one.bound,
    to: (one.high ?? one.estimate) - one.bound,
    other: ["within", "outside"].includes(one.side) ? -2 * one.bound : null,
  }));
  const order = { domain: ["supported", "contradicted", "undecided"] };
  const y = { field: "name", type: "ordinal", sort: null, title: null, axis: { labelLimit: 220 } };
  const color = { field: "verdict", type: "nominal", title: null, scale: { ...order, range: ["#009e73", "#d55e00", "#595959"] }, legend: { orient: "top" } };
  const made = chart({
    width: 420, height: { step: 20 }, data: { values: data },
    layer: [
      { mark: { type: "rule", color: "#000" }, data: { values: [{}] }, encoding: { x: { datum: 0 } } },
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { y, x: { field: "from", type: "quantitative", title: "estimate less the bound of its rule" }, x2: { field: "to" }, color } },
      { transform: [{ filter: "datum.other !== null" }], mark: { type: "tick", color: "#000", thickness: 2, size: 16 }, encoding: { y, x: { field: "other", type: "quantitative" } } },
      {
        mark: { type: "point", filled: true, size: 90, opacity: 1, cursor: "pointer" },
        encoding: {
          y, color,
          x: { field: "beyond", type: "quantitative" },
          shape: { field: "verdict", type: "nominal", title: null, scale: { ...order, range: ["circle", "triangle-up", "square"] } },
          tooltip: [{ field: "text", title: "claim" }, { field: "rule" }, { field: "estimate", format: ".3f" }, { field: "verdict" }],
        },
      },
    ],
  }, `Of ${points.length} claims the estimate beside the bound of the rule; the table below says the same`,
  (datum) => datum.claim && showCells(datum.claim));
  made.dataset.points = JSON.stringify(data.map(({ claim, beyond, verdict }) => [claim, beyond, verdict]));
  return made;
}
const charted = document.getElementById("claim-chart");
charted?.addEventListener("toggle", () => charted.append(claimChart()), { once: true });
// A link to a figure opens what it stands in.
function reveal() {
  const found = document.getElementById(window.location.hash.slice(1));
  const around = found?.closest("details");
  if (around && !around.open) { around.open = true; found.scrollIntoView(); }
}
window.addEventListener("hashchange", reveal);
reveal();

// What instances there are is read when the explorer comes into sight, or is linked to.
const explorer = document.getElementById("explorer");
if (explorer) {
  const called = () => window.location.hash.startsWith("#explore?");
  const near = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && start());
  const follow = () => called() && start();
  const start = () => {
    near.disconnect();
    window.removeEventListener("hashchange", follow);
    startExplorer(explorer);
  };
  if (called()) start();
  else {
    near.observe(explorer);
    window.addEventListener("hashchange", follow);
  }
}

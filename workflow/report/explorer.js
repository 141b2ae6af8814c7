// Pages to browse instances: what is looked for, and what is looked at. All that is chosen
// stands in the address, so that a link leads to the same view.

const quoted = (text) => `'${String(text).replaceAll("'", "''")}'`;

function startExplorer(root) {
  const index = JSON.parse(document.getElementById("explorer-index").textContent);
  const runs = index.runs.map((run, number) => ({
    ...run, number, path: [run.dataset, run.encoder, run.scorer, run.normalizer, `seed${run.seed}`].join("/"),
  }));
  let first = 0;
  for (const dataset of index.datasets) {
    dataset.items.forEach((item, place) => { item.place = place; item.block = first + place; });
    first += dataset.items.length;
  }
  const state = {};
  const filters = { words: "", label: "", right: "", low: "", high: "" };

  // What can be chosen of each axis, given what was chosen before it.
  const distinct = (list) => [...new Set(list)];
  const model = (run) => `${run.encoder}, ${run.scorer}`;
  const dataset = () => index.datasets.find((one) => one.name === state.dataset);
  const ofDataset = () => runs.filter((run) => run.dataset === state.dataset);
  const ofModel = () => ofDataset().filter((run) => model(run) === state.model);
  const OPTIONS = {
    dataset: () => index.datasets.map((one) => one.name),
    model: () => distinct(ofDataset().map(model)),
    a: () => distinct(ofModel().map((run) => run.normalizer)),
    b: () => distinct(ofModel().map((run) => run.normalizer)),
    seed: () => distinct(ofModel().map((run) => String(run.seed))),
    method: () => index.methods,
  };
  const LABELS = { dataset: "data set", model: "model", a: "normalizer", b: "beside it", seed: "seed", method: "importance" };
  const runOf = (normalizer) =>
    ofModel().find((run) => run.normalizer === normalizer && String(run.seed) === state.seed);

  // Whatever is missing or is no choice becomes the first one, of b the last.
  function settle() {
    for (const [axis, options] of Object.entries(OPTIONS)) {
      const known = options();
      if (!known.includes(state[axis])) state[axis] = axis === "b" ? known.at(-1) : known[0];
    }
    const items = dataset().items;
    if (!items.some((item) => item.id === state.item)) state.item = items[0].id;
    const { decisions } = items.find((item) => item.id === state.item);
    const step = Number(state.decision);
    state.decision = String(Number.isInteger(step) && step >= 0 && step < decisions ? step : 0);
  }

  // Blocks are packed, and are unpacked when they are looked at.
  const unpacked = new Map();
  function blockOf(item) {
    if (!unpacked.has(item.block)) {
      const packed = document.getElementById(`block-${item.block}`).textContent;
      const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      unpacked.set(item.block, new Response(stream).json());
    }
    return unpacked.get(item.block);
  }

  const selects = {};
  const controls = element("form", { class: "controls", "aria-label": "What to look at", submit: (event) => event.preventDefault() });
  for (const axis of Object.keys(OPTIONS)) {
    selects[axis] = element("select", { name: axis, change: () => { state[axis] = selects[axis].value; update(true); } });
    controls.append(element("label", {}, LABELS[axis], selects[axis]));
  }
  const filter = (name, label, made, whole = false) => {
    made.addEventListener("input", () => { filters[name] = made.value; list(); });
    controls.append(element("label", whole ? { class: "whole" } : {}, label, made));
    return made;
  };
  filter("words", "search by words", element("input", { type: "search", name: "words" }), true);
  const byClass = filter("label", "class", element("select", { name: "label" }));
  filter("right", "prediction", element("select", { name: "right" },
    [["", "any"], ["right", "right"], ["wrong", "wrong"], ["differ", "only one is right"]].map(([value, text]) => element("option", { value }, text))));
  const range = { step: "0.1", min: "-1", max: "1", type: "number" };
  filter("low", "agreement from", element("input", { ...range, name: "low" }));
  filter("high", "to", element("input", { ...range, name: "high" }));
  const count = element("p", { class: "whole source", "aria-live": "polite" });
  const items = element("div", { class: "items", role: "listbox", tabindex: "0", "aria-label": "Instances", keydown: onKey });
  controls.append(count, items);
  const view = element("div", { class: "view" });
  const compass = element("div", { class: "compass" });
  root.append(element("div", { class: "explorer" }, element("div", {}, controls, compass), view));

  const outcome = (right) => (right === null || right === undefined ? "" : right === 1 ? "✓" : right === 0 ? "✗" : `${Math.round(100 * right)}%`);
  const tau = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

  function passes(item) {
    const [a, b] = [runOf(state.a), runOf(state.b)];
    const words = filters.words.toLowerCase().split(/\s+/u).filter(Boolean);
    const text = item.text.toLowerCase();
    if (!words.every((word) => text.includes(word))) return false;
    if (filters.label && item.label !== filters.label) return false;
    const [right, other] = [a, b].map((run) => run?.right[item.place]);
    if (filters.right === "right" && right !== 1) return false;
    if (filters.right === "wrong" && !(right < 1 && right !== null)) return false;
    if (filters.right === "differ" && right === other) return false;
    const value = a?.agreement[state.method][item.place];
    if (filters.low !== "" && !(value !== null && value >= Number(filters.low))) return false;
    if (filters.high !== "" && !(value !== null && value <= Number(filters.high))) return false;
    return true;
  }

  // The instances that pass the filters. Those in sight are few; a list of 1,000 is quick.
  let shown = [];
  function list() {
    shown = dataset().items.filter(passes);
    const run = runOf(state.a);
    count.textContent = `${shown.length} of ${dataset().items.length} instances`;
    items.replaceChildren(...shown.map((item) => element("div", {
      role: "option", id: `item-${item.block}`, "aria-selected": String(item.id === state.item),
      click: () => choose(item),
    },
    element("span", {}, `${outcome(run?.right[item.place])} τ ${tau(run?.agreement[state.method][item.place])}`),
    element("span", { dir: "auto" }, item.text || item.label || item.id))));
    mark();
  }
  function mark(scroll = false) {
    items.removeAttribute("aria-activedescendant");
    for (const option of items.children) option.setAttribute("aria-selected", "false");
    const found = shown.find((item) => item.id === state.item);
    if (!found) return;
    const option = document.getElementById(`item-${found.block}`);
    option.setAttribute("aria-selected", "true");
    items.setAttribute("aria-activedescendant", option.id);
    if (scroll) items.scrollTop = Math.max(0, option.offsetTop - items.offsetTop - items.clientHeight / 2);
  }
  function choose(item) {
    state.item = item.id;
    state.decision = "0";
    mark();
    show();
    remember();
  }
  function onKey(event) {
    const place = shown.findIndex((item) => item.id === state.item);
    const to = { ArrowDown: place + 1, ArrowUp: Math.max(0, place - 1), Home: 0, End: shown.length - 1, PageDown: place + 10, PageUp: Math.max(0, place - 10) }[event.key];
    if (to === undefined || !shown.length) return;
    event.preventDefault();
    choose(shown[Math.min(to, shown.length - 1)]);
    mark(true);
  }

  // What is laid over the inputs of one run: a value an input, whatever it was a value of.
  function overInputs(run, values) {
    const { cell } = run;
    if (!cell || values.length === cell.length) return values;
    const sizes = values.map((_, state) => cell.filter((of) => of === state).length);
    return cell.map((of) => Number((values[of] / sizes[of]).toPrecision(4)));
  }
  function queryOf(run, subject, id) {
    const where = `WHERE instance_id = ${quoted(id)}`;
    if (subject === "attention") return `SELECT attention FROM 'attributions/${run.path}/attention.parquet' ${where}`;
    if (subject === "influence") return `SELECT matrix FROM 'attributions/${run.path}/influence.parquet' ${where}`;
    if (subject.startsWith("adversarial_")) return `SELECT attention, divergence FROM 'explanations/${run.path}/adversarial.parquet' ${where} AND "constraint" = ${quoted(subject.slice(12))}`;
    if (subject === "cut") return `SELECT weights FROM 'report/explorer.parquet' WHERE ${["dataset", "encoder", "scorer", "normalizer"].map((axis) => `${axis} = ${quoted(run[axis])}`).join(" AND ")} AND seed = ${run.seed} AND subject = 'cut' AND instance_id = ${quoted(id)}`;
    return `SELECT importance FROM 'attributions/${run.path}/importance/${subject}.parquet' ${where}`;
  }
  const copyOf = (query, what) => element("button", { type: "button", class: "copy", "data-query": query, "aria-label": `Copy the query of ${what}` }, "Copy query");

  function rowsOf(run, found, id) {
    const row = (subject, kind, label) => {
      const values = overInputs(run, found.weights[subject]);
      return { subject, kind, label, values, head: [element("strong", {}, label), copyOf(queryOf(run, subject, id), `${label}, ${run.normalizer}`)] };
    };
    const agreement = found.agreement[state.method];
    const rows = [
      row("attention", "attention", `attention, ${run.normalizer}`),
      row(state.method, "importance", `${state.method.replaceAll("_", " ")} (${tau(agreement)})`),
    ];
    if (found.weights.cut) {
      const ofCut = found.cut_agreement[state.method];
      rows.push(row("cut", "control", `control: the reference's attention, cut to as many places${ofCut === undefined ? "" : ` (${tau(ofCut)})`}`));
    }
    for (const subject of Object.keys(found.weights).filter((name) => name.startsWith("adversarial_"))) {
      const far = found.divergence[subject];
      const limits = subject === "adversarial_support" ? " within its support" : "";
      rows.push(row(subject, "control", `adversarial attention${limits}, same output${far === undefined ? "" : `, divergence ${far}`}`));
    }
    return rows;
  }

  function told(run, found, block, step) {
    const said = [];
    if (found.predicted !== null) {
      const right = found.predicted === block.label[step];
      said.push(element("strong", { dir: "auto" }, found.predicted), ` (${found.probability}) ${right ? "✓ right" : "✗ wrong"}. `);
    } else {
      found.outputs.forEach((value, k) => said.push(`${block.answers?.[k] ?? "output"} ${value}, true ${block.targets[step][k]}. `));
    }
    said.push(`${found.support} of ${found.weights.attention.length} positions have weight. `);
    if (found.never !== null) {
      said.push(found.never ? "The decision stands without its largest weights. " : `The decision flips without its ${found.removed} largest ${found.removed === 1 ? "weight" : "weights"}. `);
    }
    return element("p", { class: "outcome" }, said);
  }

  function decisionPicker(block, item) {
    if (item.decisions < 2) return null;
    const name = (id, step) => block.label[step] ?? `second ${Number(id.split(".").at(-1))}`;
    const select = element("select", { name: "decision", change: () => { state.decision = select.value; show(); remember(); } },
      block.ids.map((id, step) => element("option", { value: String(step) }, `${step + 1}: ${name(id, step)}`)));
    select.value = state.decision;
    return element("label", {}, "decision ", select);
  }

  // All decisions of an item side by side: of a translation beside what people linked.
  function allSteps(run, block, found) {
    const weights = found.map((one) => overInputs(run, one.weights.attention));
    return element("div", {}, element("h4", {}, "attention of every step, links by people outlined"),
      matrix(block.units, block.label, weights, `attention of every step, ${run.normalizer}`, "attention", ["source", "step"], block.gold));
  }
  function timeLine(block, found, normalizer) {
    const seconds = block.ids.map((id) => Number(id.split(".").at(-1)));
    const data = found.flatMap((one, step) => one.outputs.flatMap((value, k) => [
      { second: seconds[step], value, of: "predicted", step },
      { second: seconds[step], value: block.targets[step][k], of: "true", step },
    ]));
    return chart({
      width: 420, height: 130, data: { values: data },
      mark: { type: "line", point: true },
      encoding: {
        x: { field: "second", type: "quantitative" },
        y: { field: "value", type: "quantitative", title: "reaction" },
        color: { field: "of", scale: { domain: ["predicted", "true"], range: ["#0072b2", "#d55e00"] }, title: null },
        shape: { field: "of", scale: { domain: ["predicted", "true"] }, title: null },
        tooltip: [{ field: "second" }, { field: "of" }, { field: "value" }],
      },
    }, `The recording over time by ${normalizer}: predicted and true reactions at ${seconds.length} seconds`,
    (datum) => { state.decision = String(datum.step); show(); remember(); });
  }

  function valuesTable(block, step, rows) {
    return element("details", {}, element("summary", {}, "The values"),
      element("div", { class: "values", tabindex: "0", role: "region", "aria-label": "The values" }, element("table", {},
        element("thead", {}, element("tr", {}, element("th", { class: "name" }, "input"), rows.map((row) => element("th", {}, row.subject)))),
        element("tbody", {}, rows[0].values.map((_, i) => element("tr", {},
          element("td", { class: "name", dir: "auto" }, nameOf(block, step, i)),
          rows.map((row) => element("td", {}, String(row.values[i])))))))));
  }

  function panel(run, block, item) {
    const found = block.runs[run.number];
    const step = Number(state.decision);
    const own = found[step];
    const rows = rowsOf(run, own, block.ids[step]);
    const viewer = VIEWERS[dataset().modality] ?? moments;
    const parts = [element("h4", {}, `${run.normalizer}, seed ${run.seed}`), told(run, own, block, step), viewer(block, step, rows)];
    if (dataset().modality === "translation") parts.push(allSteps(run, block, found));
    if (dataset().modality === "reactions") parts.push(timeLine(block, found, run.normalizer));
    if (own.weights.influence) {
      const n = Math.max(...Object.entries(own.weights).filter(([name]) => name !== "influence").map(([, values]) => values.length), run.cell?.length ?? 0);
      const m = own.weights.influence.length / n;
      const values = Array.from({ length: m }, (_, r) => own.weights.influence.slice(r * n, (r + 1) * n));
      const inputs = Array.from({ length: n }, (_, i) => nameOf(block, step, i));
      const states = m === n ? inputs : Array.from({ length: m }, (_, i) => `state ${i}`);
      parts.push(element("details", {}, element("summary", {}, "Influence: which inputs made each hidden state"),
        element("p", { class: "source" }, `Shaded from nothing to the largest, ${Math.max(...own.weights.influence)}. `,
          copyOf(queryOf(run, "influence", block.ids[step]), `influence, ${run.normalizer}`)),
        matrix(inputs, states, values, `influence of ${n} inputs on ${m} hidden states, ${run.normalizer}`, "importance", ["input", "hidden state"])));
    }
    parts.push(valuesTable(block, step, rows));
    return element("article", { class: "run", "data-run": run.path, "aria-label": run.path }, parts);
  }

  function scatter(a, b) {
    if (a === b) return null;
    const data = dataset().items.map((item) => ({
      x: a.agreement[state.method][item.place], y: b.agreement[state.method][item.place],
      item: item.place, text: item.text.slice(0, 80), chosen: item.id === state.item,
    })).filter((one) => one.x !== null && one.y !== null);
    const axis = (run) => ({ type: "quantitative", title: `${run.normalizer}`, scale: { domain: [-1, 1] } });
    // beside what is looked at where there is room, else closed above it
    const open = window.matchMedia("(min-width: 48rem)").matches ? "" : null;
    return element("details", { open }, element("summary", {}, "Agreement of all instances"),
      element("p", { class: "source" }, `Kendall's tau-b of attention with ${state.method.replaceAll("_", " ")}, ${b.normalizer} over ${a.normalizer}; a click on a point shows the instance.`,
        " ", copyOf(`SELECT a.instance_id, a.value, b.value FROM 'measures/${a.path}.parquet' a JOIN 'measures/${b.path}.parquet' b USING (instance_id, measure, subject, reference) WHERE measure = 'kendall_tau_b' AND subject = 'attention' AND reference = ${quoted(state.method)}`, "agreement of all instances")),
      chart({
        width: 260, height: 220, data: { values: data },
        layer: [
          { mark: { type: "rule", color: "#999", strokeDash: [4, 4] }, data: { values: [{}] }, encoding: { x: { datum: -1 }, y: { datum: -1 }, x2: { datum: 1 }, y2: { datum: 1 } } },
          {
            mark: { type: "point", filled: true, cursor: "pointer" },
            encoding: {
              x: { field: "x", ...axis(a) }, y: { field: "y", ...axis(b) },
              color: { condition: { test: "datum.chosen", value: "#d55e00" }, value: "#0072b2" },
              size: { condition: { test: "datum.chosen", value: 130 }, value: 35 },
              tooltip: [{ field: "text" }, { field: "x", title: a.normalizer }, { field: "y", title: b.normalizer }],
            },
          },
        ],
      }, `Agreement of ${data.length} instances under ${a.normalizer} and ${b.normalizer}`,
      (datum) => datum.item !== undefined && choose(dataset().items[datum.item])));
  }

  // The influence of inputs on hidden states is kept of a few instances.
  function traced(item) {
    const kept = dataset().items.filter((one) => one.influence);
    if (item.influence || !kept.length) return "";
    return element("p", { class: "source" }, "Of these the influence of inputs on hidden states is kept: ",
      kept.map((one) => [element("button", { type: "button", class: "copy", click: () => choose(one) }, one.id), " "]));
  }

  let latest = 0;
  async function show() {
    const item = dataset().items.find((one) => one.id === state.item);
    latest += 1;
    const asked = latest;
    const block = await blockOf(item);
    if (asked !== latest) return;
    const [a, b] = [runOf(state.a), runOf(state.b)];
    const chosen = [...new Set([a, b])].filter(Boolean);
    const lacking = [...new Set([state.a, state.b])].filter((name) => !runOf(name));
    view.replaceChildren(
      element("p", {}, element("strong", {}, item.label === null ? "" : `class ${item.label} `), `instance ${item.id} `,
        decisionPicker(block, item), " ",
        element("button", { type: "button", class: "copy", click: () => copied(window.location.href, "The link") }, "Copy link")),
      block.answers && block.units ? element("p", { dir: "auto" }, block.answers.join(" ")) : "",
      lacking.length ? element("p", {}, `No run of ${lacking.join(", ")} with seed ${state.seed}.`) : "",
      element("div", { class: "runs" }, chosen.map((run) => panel(run, block, item))),
      traced(item),
    );
    compass.replaceChildren((a && b && scatter(a, b)) || "");
    view.dataset.ready = state.item;
  }

  // The address: #explore?dataset=...
  function remember() {
    const address = `#explore?${new URLSearchParams(state)}`;
    if (window.location.hash !== address) window.history.replaceState(null, "", address);
  }
  function recall() {
    const [place, query] = window.location.hash.split("?");
    if (place !== "#explore" || !query) return false;
    for (const [name, value] of new URLSearchParams(query)) state[name] = value;
    return true;
  }
  function update(changed) {
    settle();
    for (const [axis, options] of Object.entries(OPTIONS)) {
      selects[axis].replaceChildren(...options().map((name) => element("option", { value: name }, name.replaceAll("_", " "))));
      selects[axis].value = state[axis];
    }
    const classes = distinct(dataset().items.map((item) => item.label).filter((label) => label !== null)).sort();
    byClass.replaceChildren(element("option", { value: "" }, "any"), ...classes.map((name) => element("option", { value: name }, name)));
    if (!classes.includes(filters.label)) filters.label = "";
    byClass.value = filters.label;
    list();
    show();
    if (changed) remember();
  }
  window.addEventListener("hashchange", () => { if (recall()) { update(false); mark(true); root.scrollIntoView(); } });
  const linked = recall();
  update(false);
  mark(true);
  if (linked) root.scrollIntoView();
}

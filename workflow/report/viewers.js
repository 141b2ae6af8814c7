// How the inputs of each modality are shown: one function each, by name of the modality.
//
// A viewer is given what a block holds of an item, the place of a decision in it, and the
// rows to show: {label, kind, values}, a value an input. It returns an element. Text gets
// into the page as text and as nothing else.

// An element with attributes and children; what is null is left out.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const HUES = { attention: [230, 159, 0], importance: [86, 180, 233], control: [204, 121, 167] };

// From white, where the share is 0, to the hue: as figures/heatmap.py has it.
function colourOf(share, kind, alpha = 1) {
  const mixed = HUES[kind].map((c) => Math.round(255 + share * (c - 255)));
  return `rgba(${mixed.join(",")},${alpha})`;
}

// Values in [0, 1], as shares of the largest; 0 where all are.
function sharesOf(values) {
  const largest = Math.max(...values, 0);
  return values.map((value) => (largest > 0 ? value / largest : 0));
}

const placeOf = ({ columns }, i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;

// What an input is called.
const nameOf = (block, decision, i) =>
  block.units ? block.units[i]
  : block.picture ? placeOf(block.picture, i)
  : block.times?.[decision] ? `${block.times[decision][i]} s`
  : `input ${i}`;

function headed(row, shown) {
  return element("div", { class: "row" }, element("div", { class: "row-head" }, row.head), shown);
}

// Words in the order of the text, each on the colour of its weight.
function words(block, decision, rows) {
  const gold = block.gold[decision];
  return element("div", {}, rows.map((row) => {
    const shares = sharesOf(row.values);
    const line = element("div", { class: "paper", dir: "auto", "data-subject": row.subject });
    row.values.forEach((value, i) => {
      const word = element("span", {
        class: gold?.[i] ? "word gold" : "word",
        title: `${nameOf(block, decision, i)}: ${value}${gold?.[i] ? ", marked by people" : ""}`,
        "data-value": value,
      });
      word.style.background = colourOf(shares[i], row.kind);
      word.textContent = nameOf(block, decision, i);
      line.append(word, " ");
    });
    return headed(row, line);
  }));
}

// A picture for each row, with a colour over every patch.
function patches(block, decision, rows) {
  const { rows: down, columns: across, height, width, channels, pixels } = block.picture;
  const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = bytes[i * channels + (channels > 1 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  const gold = block.gold[decision];
  const one = (row) => {
    const canvas = element("canvas", { width, height });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const grid = element("div", { class: "patches", "data-subject": row.subject });
    grid.style.gridTemplate = `repeat(${down}, 1fr) / repeat(${across}, 1fr)`;
    const shares = sharesOf(row.values);
    row.values.forEach((value, i) => {
      const patch = element("div", {
        class: "patch",
        title: `${placeOf(block.picture, i)}: ${value}${gold?.[i] ? ", marked" : ""}`,
        "data-value": value,
      });
      patch.style.background = colourOf(1, row.kind, 0.85 * shares[i]);
      grid.append(patch);
    });
    return headed(row, element("div", { class: "picture" }, canvas, grid));
  };
  const bare = { subject: "picture", kind: "control", head: ["picture"], values: [] };
  return element("div", { class: "pictures" }, [bare, ...rows].map(one));
}

// Bars along time, or along whatever the inputs are of a modality that has no viewer.
function moments(block, decision, rows) {
  return element("div", {}, rows.map((row) => {
    const data = row.values.map((value, i) => ({
      x: block.times?.[decision]?.[i] ?? i,
      value,
      of: nameOf(block, decision, i),
    }));
    const holder = chart({
      height: 70,
      width: 420,
      data: { values: data },
      mark: { type: "bar", color: `rgb(${HUES[row.kind].join(",")})`, width: { band: 0.9 } },
      encoding: {
        x: { field: "x", type: "ordinal", title: block.times?.[decision] ? "seconds from the decision" : "input", axis: { labelOverlap: true, labelAngle: 0, format: ".3~g" } },
        y: { field: "value", type: "quantitative", title: null, axis: { tickCount: 3 } },
        tooltip: [{ field: "of" }, { field: "value" }],
      },
    }, `${row.label}: ${row.values.length} values`);
    holder.dataset.subject = row.subject;
    holder.dataset.values = JSON.stringify(row.values);
    return headed(row, holder);
  }));
}

const VIEWERS = { text: words, images: patches, translation: words, reactions: moments };

// Charts are drawn without `eval`, which the page forbids, and keep a white ground in the
// dark: their colours are those of the figures.
function chart(spec, label, click = null) {
  // in a box of its own, for Vega-Embed makes that as wide as the chart
  const drawing = element("div");
  const holder = element("div", { class: "chart", role: "img", "aria-label": label }, drawing);
  const full = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", background: "#fff", ...spec };
  vegaEmbed(drawing, full, { ast: true, actions: false, renderer: "svg" }).then(({ view }) => {
    // the holder is the picture, and says what it is of
    drawing.querySelector("svg").setAttribute("aria-hidden", "true");
    if (click) view.addEventListener("click", (event, item) => item?.datum && click(item.datum));
  });
  return holder;
}

// A matrix of weights: what each row of it has of each column, and what these are. Marks
// outline some of them. Many cells are small, and not all have their names beside them.
function matrix(across, down, values, title, kind, [ofColumns, ofRows], marks = null) {
  const side = Math.max(6, Math.min(18, Math.floor(340 / across.length)));
  const data = [];
  down.forEach((row, r) => across.forEach((column, c) => {
    data.push({ r, c, row, column, value: values[r][c], marked: Boolean(marks?.[r]?.[c]) });
  }));
  const names = (list) => `{${list.map((word, i) => `${JSON.stringify(String(i))}: ${JSON.stringify(word)}`).join(", ")}}[datum.value]`;
  const place = (field, list, what, more) => ({
    field, type: "ordinal", title: what,
    axis: { labelExpr: names(list), labelLimit: 110, labelFontSize: Math.min(10, Math.max(8, side)), labelOverlap: side < 8 ? "greedy" : false, ...more },
  });
  const hue = `rgb(${HUES[kind].join(",")})`;
  const held = chart({
    data: { values: data },
    width: { step: side },
    height: { step: side },
    encoding: {
      x: place("c", across, ofColumns, { orient: "top", labelAngle: side < 12 ? -90 : -60 }),
      y: place("r", down, ofRows),
    },
    layer: [
      {
        mark: "rect",
        encoding: {
          color: { field: "value", type: "quantitative", scale: { domainMin: 0, range: ["#ffffff", hue], interpolate: "rgb" }, legend: null },
          tooltip: [{ field: "row", title: ofRows }, { field: "column", title: ofColumns }, { field: "value" }, ...(marks ? [{ field: "marked", title: "linked by people" }] : [])],
        },
      },
      ...(marks ? [{ transform: [{ filter: "datum.marked" }], mark: { type: "rect", fill: null, stroke: "#000", strokeWidth: 1.5 } }] : []),
    ],
  }, title);
  held.dataset.matrix = JSON.stringify(values);
  return held;
}

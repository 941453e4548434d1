"use strict";
// Draws every figure from its numbers, for the width that it has and the arms that are ticked.
const figures = JSON.parse(document.getElementById("figures").textContent);
const off = new Set();
const DASHES = {"-": null, "--": "9 5", ":": "2 4", "-.": "9 4 2 4"};
const INK = "var(--ink)", FAINT = "var(--faint)", RULE = "var(--rule)";
const shown = (arms) => arms.every((arm) => !off.has(arm));
const paint = (colour) => colour === "ink" ? INK : colour;

function add(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function round_steps(low, high, most) {
  const raw = (high - low) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.999);
  const steps = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + (high - low) * 0.01; at += step) steps.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return steps;
}

const decimals = (value) => value.toLocaleString("en", {maximumSignificantDigits: 6}).replace("-", "\u2212");
const percents = (value) => `${Math.round(value * 100)} %`;
// Large numbers in thousands or millions, all of an axis alike.
const engineering = (high) => (value) => high >= 1e6 && value ? `${decimals(value / 1e6)}M` : high >= 1e4 && value ? `${decimals(value / 1e3)}k` : decimals(value);
const linear = (low, high, from, to) => (value) => from + (value - low) / (high - low || 1) * (to - from);

// The ends of a scale: those of the values, and a little more.
function ends(values, room = 0.04) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known), high = Math.max(...known);
  if (!known.length) return [0, 1];
  const more = (high - low || Math.abs(high) || 1) * room;
  return [low >= 0 ? Math.max(0, low - more) : low - more, high + more];
}

const LINE = 15, GAP = 10; // pixels: of a line of text, and between the name of a row and its value
const measure = document.createElement("canvas").getContext("2d");
measure.font = "12px system-ui, sans-serif";
const text_width = (text) => measure.measureText(text).width;

// The name of a row and its value, in as many lines as they need: of each line both parts.
function named(row, width) {
  const lines = [""];
  for (const word of row.label.match(/\S+\s*/g) || [""]) {
    if (lines.at(-1) && text_width(lines.at(-1) + word.trimEnd()) > width) lines.push("");
    lines[lines.length - 1] += word;
  }
  const parts = lines.map((line) => [line.trimEnd(), ""]), room = width - text_width(parts.at(-1)[0]) - GAP;
  if (text_width(row.note) <= room) parts.at(-1)[1] = row.note; else parts.push(["", row.note]);
  return parts;
}

function row_ends(panels) {
  const rows = panels.flatMap((panel) => panel.rows).filter((row) => shown(row.arms));
  const values = rows.flatMap((row) => [row.shown, ...row.seeds].flatMap((one) => [one.value, one.low, one.high]).concat(row.base));
  return ends([...values, ...panels.flatMap((panel) => panel.levels.map((level) => level.at))]);
}

function canvas(holder, height, label) {
  const width = Math.max(240, Math.round(holder.clientWidth));
  return [add(holder, "svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label}), width];
}

function write(svg, x, y, text, more = {}) { return add(svg, "text", {x, y, ...more}, text); }

// A frame of axes with their steps; returns where x and y values stand.
function axes(svg, box, [x_low, x_high], [y_low, y_high], x_text, y_text, panel) {
  const x = linear(x_low, x_high, box.left, box.right), y = linear(y_low, y_high, box.bottom, box.top);
  for (const at of round_steps(y_low, y_high, (box.bottom - box.top) / 38)) {
    add(svg, "line", {x1: box.left, x2: box.right, y1: y(at), y2: y(at), stroke: RULE});
    write(svg, box.left - 6, y(at) + 4, y_text(at), {"text-anchor": "end"});
  }
  for (const at of round_steps(x_low, x_high, (box.right - box.left) / 70)) {
    add(svg, "line", {x1: x(at), x2: x(at), y1: box.bottom, y2: box.bottom + 4, stroke: FAINT});
    write(svg, x(at), box.bottom + 17, x_text(at), {"text-anchor": "middle"});
  }
  add(svg, "line", {x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: FAINT});
  write(svg, box.left, 10, panel.y_label, {class: "faint"});
  write(svg, box.right, box.bottom + 33, panel.x_label, {class: "faint", "text-anchor": "end"});
  return [x, y];
}

const path = (at, values, x, y) => at.map((one, index) => `${index ? "L" : "M"}${x(one).toFixed(1)} ${y(values[index]).toFixed(1)}`).join("");

const kinds = {
  curves: {
    own: (figure, panel) => panel.own.some((number) => shown([figure.lines[number].arm])),
    scales(figure, panels) {
      const drawn = panels.flatMap((panel) => [...panel.own, ...panel.rest]).map((number) => figure.lines[number]).filter((line) => shown([line.arm]));
      const levels = panels.flatMap((panel) => panel.levels.map((level) => level.at));
      return [[0, Math.max(...drawn.map((line) => line.at.at(-1)))], ends([...drawn.flatMap((line) => [...line.value, ...line.low, ...line.high]), ...levels])];
    },
    draw(holder, figure, panel, [over, of], count) {
      const height = count > 3 ? 200 : count > 1 ? 270 : 330;
      const [svg, width] = canvas(holder, height, `${figure.title}${panel.title ? `: ${panel.title}` : ""}`);
      const box = {left: 46, right: width - 16, top: 24, bottom: height - 40};
      const [x, y] = axes(svg, box, over, of, engineering(over[1]), decimals, panel);
      for (const level of panel.levels) {
        add(svg, "line", {x1: box.left, x2: box.right, y1: y(level.at), y2: y(level.at), stroke: FAINT, "stroke-dasharray": "5 4", "data-level": level.label});
        if (level.label) write(svg, box.right, y(level.at) - 4, level.label, {class: "faint", "text-anchor": "end"});
      }
      for (const number of panel.rest) {
        const line = figure.lines[number];
        if (shown([line.arm])) add(svg, "path", {d: path(line.at, line.value, x, y), fill: "none", stroke: "var(--rest)", "stroke-width": 1.2, "data-rest": line.arm});
      }
      const own = panel.own.map((number) => figure.lines[number]).filter((line) => shown([line.arm]));
      for (const line of own) {
        if (line.low.every((value) => value !== null)) {
          const back = path([...line.at].reverse(), [...line.low].reverse(), x, y).replace("M", "L");
          add(svg, "path", {d: `${path(line.at, line.high, x, y)}${back}Z`, fill: line.colour, opacity: 0.15});
        }
      }
      for (const line of own) add(svg, "path", {d: path(line.at, line.value, x, y), fill: "none", stroke: line.colour, "stroke-width": 2.2, "stroke-linejoin": "round", "stroke-dasharray": DASHES[line.dash], "data-arm": line.arm});
      tell(svg, width, box, over, own, panel.x_label);
    },
  },
  rows: {
    own: (figure, panel) => panel.rows.some((row) => shown(row.arms)),
    // Panels of shares have one scale: rates under several protocols are to be compared.
    scales: (figure, panels) => panels.every((panel) => panel.percent) ? row_ends(panels) : null,
    draw(holder, figure, panel, all) {
      const rows = panel.rows.filter((row) => shown(row.arms));
      const seeds = rows.some((row) => row.seeds.some((seed) => seed.low !== null)) ? 16 : rows.some((row) => row.seeds.length > 1) ? 8 : 0;
      const [svg, width] = canvas(holder, 0, `${figure.title}: ${panel.title || panel.x_label}`);
      const names = rows.map((row) => named(row, width - 4)), top = panel.levels.some((level) => level.label) ? 20 : 4;
      const tops = [top];
      for (const lines of names) tops.push(tops.at(-1) + 20 + seeds + lines.length * LINE);
      const bottom = tops.at(-1);
      svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 38}`);
      const [low, high] = (all || row_ends([panel])).map((end, index) => panel.limits[index] ?? end);
      const x = linear(low, high, 10, width - 12), text = panel.percent ? percents : decimals;
      for (const at of round_steps(low, high, width / 80)) {
        add(svg, "line", {x1: x(at), x2: x(at), y1: top, y2: bottom, stroke: RULE});
        write(svg, x(at), bottom + 15, text(at), {"text-anchor": at === low ? "start" : x(at) > width - 30 ? "end" : "middle"});
      }
      write(svg, width - 2, bottom + 32, panel.x_label, {class: "faint", "text-anchor": "end"});
      for (const level of panel.levels) {
        add(svg, "line", {x1: x(level.at), x2: x(level.at), y1: top, y2: bottom, stroke: FAINT, "stroke-dasharray": "5 4", "data-level": level.label});
        if (level.label) write(svg, Math.min(width - 2, x(level.at) + 3), top - 6, level.label, {class: "faint", "text-anchor": x(level.at) > width - 60 ? "end" : "start"});
      }
      rows.forEach((row, number) => {
        const y = tops[number], middle = y + 10 + names[number].length * LINE, colour = paint(row.colour);
        const group = add(svg, "g", {"data-row": row.label});
        names[number].forEach(([name, note], line) => { // on paper, so that no line of the grid runs through it
          const base = y + 13 + line * LINE, gap = name && note ? GAP : 0;
          add(group, "rect", {x: 0, y: base - 12, width: text_width(name) + gap + text_width(note) + 4, height: LINE, fill: "var(--paper)"});
          if (name) write(group, 2, base, name);
          if (note) write(group, 2 + text_width(name) + gap, base, note, {class: "faint"});
        });
        if (row.base !== null) add(group, "line", {x1: x(row.base), x2: x(row.base), y1: middle - 6, y2: middle + 6, stroke: FAINT, "stroke-width": 2, "data-level": "random"});
        if (row.shown.low !== null) add(group, "line", {x1: x(row.shown.low), x2: x(row.shown.high), y1: middle, y2: middle, stroke: colour, "stroke-width": 3, "data-interval": ""});
        marker(group, row.marker, x(row.shown.value), middle, colour);
        row.seeds.forEach((seed, index) => {
          const at = middle + 7 + (seed.low !== null && row.seeds.length > 1 ? index / (row.seeds.length - 1) * 11 : 2);
          if (seed.low !== null) add(group, "line", {x1: x(seed.low), x2: x(seed.high), y1: at, y2: at, stroke: "var(--rest)", "stroke-width": 1.5, "data-seed": ""});
          add(group, "circle", {cx: x(seed.value), cy: at, r: 2.4, fill: FAINT});
        });
      });
    },
  },
  bars: {
    own: (figure, panel) => shown([panel.arm]),
    scales: (figure, panels) => [0, Math.max(...panels.flatMap((panel) => panel.shares)) * 1.08 || 1],
    draw(holder, figure, panel, of) {
      const height = 160, [svg, width] = canvas(holder, height, `${figure.title}: ${panel.title}, ${panel.note}`);
      const box = {left: 46, right: width - 16, top: 24, bottom: height - 40};
      const [x, y] = axes(svg, box, [0, panel.shares.length * panel.width], of, decimals, percents, panel);
      write(svg, box.right, 10, panel.note, {"text-anchor": "end"});
      for (const level of panel.levels) {
        add(svg, "line", {x1: x(level.at), x2: x(level.at), y1: box.top, y2: box.bottom, stroke: FAINT, "stroke-dasharray": "5 4", "data-level": level.label});
        write(svg, x(level.at) - 4, box.top + 12, level.label, {class: "faint", "text-anchor": "end"});
      }
      panel.shares.forEach((share, number) => {
        if (share) add(svg, "rect", {x: x(number * panel.width) + 0.5, y: y(share), width: Math.max(1, x(panel.width) - x(0) - 1), height: y(0) - y(share), fill: panel.colour});
      });
    },
  },
};

function marker(parent, kind, x, y, colour) {
  const shape = {s: [[-5, -5], [5, -5], [5, 5], [-5, 5]], "^": [[0, -6], [6, 5], [-6, 5]], D: [[0, -6.5], [6.5, 0], [0, 6.5], [-6.5, 0]]}[kind];
  if (shape) add(parent, "polygon", {points: shape.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" "), fill: colour});
  else add(parent, "circle", {cx: x, cy: y, r: 5.5, fill: colour});
}

// What the colours are, above panels that have several; a panel of one arm is named by its heading.
function draw_key(holder, figure, panels) {
  holder.replaceChildren();
  if (figure.kind !== "curves") return;
  const own = panels.flatMap((panel) => panel.own.length > 1 ? panel.own : []).map((number) => figure.lines[number]).filter((line) => shown([line.arm]));
  const looks = new Map(own.map((line) => [`${line.label} ${line.colour} ${line.dash}`, [line.label, line.colour, line.dash]]));
  if (panels.some((panel) => panel.rest.some((number) => shown([figure.lines[number].arm])))) looks.set("", ["the other panels' arms", "var(--rest)", "-"]);
  for (const [label, colour, dash] of looks.values()) {
    const item = document.createElement("li");
    const svg = add(item, "svg", {viewBox: "0 0 44 16", "aria-hidden": "true"});
    add(svg, "line", {x1: 0, x2: 44, y1: 8, y2: 8, stroke: colour, "stroke-width": 4, "stroke-dasharray": DASHES[dash]});
    item.append(label);
    holder.append(item);
  }
}

function draw_figure(holder) {
  const figure = figures[holder.dataset.figure], place = holder.querySelector(".panels"), kind = kinds[figure.kind];
  if (!place.clientWidth) return; // folded: drawn when it is opened
  const panels = figure.panels.filter((panel) => kind.own(figure, panel));
  const across = figure.panels.length === 4 ? 2 : 3;
  place.style.setProperty("--across", Math.max(1, Math.min(across, panels.length)));
  place.replaceChildren();
  const scales = panels.length ? kind.scales(figure, panels) : null;
  for (const panel of panels) {
    const part = document.createElement("div");
    part.className = "panel";
    place.append(part);
  }
  panels.forEach((panel, number) => {
    const part = place.children[number];
    if (panel.title) {
      const title = document.createElement("h3");
      title.textContent = panel.title;
      part.append(title);
    }
    kind.draw(part, figure, panel, scales, panels.length);
  });
  draw_key(holder.querySelector(".key"), figure, panels);
  if (!panels.length) place.append("No arm is ticked that this figure shows.");
}

function draw_all() {
  for (const holder of document.querySelectorAll("figure[data-figure]")) draw_figure(holder);
  for (const part of document.querySelectorAll("[data-arms]")) part.hidden = !shown(part.dataset.arms.split(" ").filter(Boolean));
}

// The values at a place: under the pointer, or by the arrow keys.
const value = document.getElementById("value");
const number = (x) => x === null ? "?" : x.toLocaleString("en", {maximumSignificantDigits: 4});
function tell(svg, width, box, [low, high], lines, unit) {
  svg.tabIndex = 0;
  const cursor = add(svg, "line", {y1: box.top, y2: box.bottom, stroke: FAINT, visibility: "hidden"});
  let share = 1;
  const hide = () => { value.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  const show = (x, y) => {
    const at = low + share * (high - low), place = box.left + share * (box.right - box.left);
    cursor.setAttribute("x1", place); cursor.setAttribute("x2", place); cursor.setAttribute("visibility", "visible");
    const told = lines.map((line) => {
      let nearest = 0;
      line.at.forEach((one, index) => { if (Math.abs(one - at) < Math.abs(line.at[nearest] - at)) nearest = index; });
      const step = line.at.length > 1 ? line.at[1] - line.at[0] : Infinity;
      if (Math.abs(line.at[nearest] - at) > step) return null;
      const range = line.low[nearest] !== null ? ` (${number(line.low[nearest])} to ${number(line.high[nearest])})` : "";
      return [line.value[nearest], `${line.label}: ${number(line.value[nearest])}${range}`];
    }).filter((line) => line !== null).sort((a, b) => b[0] - a[0]);
    const head = document.createElement("b");
    head.textContent = `${number(at)} ${unit}`;
    value.replaceChildren(head, ...told.map(([, text]) => { const row = document.createElement("div"); row.textContent = text; return row; }));
    value.hidden = false;
    value.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - value.offsetWidth - 8))}px`;
    value.style.top = `${y + 18 + value.offsetHeight > innerHeight ? Math.max(8, y - value.offsetHeight - 12) : y + 18}px`;
  };
  const by_key = () => {
    const place = svg.getBoundingClientRect();
    show(place.left + (box.left + share * (box.right - box.left)) * place.width / width, place.top + place.height / 3);
  };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    share = ((event.clientX - place.left) * width / place.width - box.left) / (box.right - box.left);
    if (share < 0 || share > 1) hide(); else show(event.clientX, event.clientY);
  });
  svg.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: -0.02, ArrowRight: 0.02}[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    share = Math.max(0, Math.min(1, share + by));
    by_key();
  });
}

const boxes = [...document.querySelectorAll("input[data-arm]")];
function read_boxes() {
  off.clear();
  for (const box of boxes) if (!box.checked) off.add(box.dataset.arm);
  draw_all();
}
for (const box of boxes) box.addEventListener("change", read_boxes);
for (const button of document.querySelectorAll("button[data-all]"))
  button.addEventListener("click", () => { for (const box of boxes) box.checked = Boolean(button.dataset.all); read_boxes(); });
for (const fold of document.querySelectorAll("details"))
  fold.addEventListener("toggle", () => { for (const holder of fold.querySelectorAll("figure[data-figure]")) draw_figure(holder); });
let drawn_for = 0;
new ResizeObserver(() => {
  if (document.body.clientWidth === drawn_for) return;
  drawn_for = document.body.clientWidth;
  draw_all();
}).observe(document.body);
function open_linked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = linked && linked.closest("details");
  if (fold) fold.open = true;
}
addEventListener("hashchange", open_linked);
read_boxes();
open_linked();

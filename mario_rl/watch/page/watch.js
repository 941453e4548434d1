// Shows what the server sends and asks for what the viewer wants; server.py and messages.py say what there is.
"use strict";
const by = (id) => document.getElementById(id);
const LEAST_STAGE_PIXELS = 3400; // about the width of 1-1; a stage is as long as has been seen of it
const SPEEDS = [[0.25, "¼×"], [0.5, "½×"], [1, "1×"], [2, "2×"], [4, "4×"], [8, "8×"], [0, "max"]];
const BUTTONS = [["left", "←", 64], ["right", "→", 128], ["up", "↑", 16], ["down", "↓", 32], ["A", "A", 1], ["B", "B", 2], ["select", "select", 4], ["start", "start", 8]];
const KEYS = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", KeyX: "A", KeyZ: "B"};
const SYSTEM_KEYS = {Enter: "start", NumpadEnter: "start", ShiftRight: "select"}; // only where no agent plays
const key = (code) => KEYS[code] || (view.catalog && !view.catalog.thinks ? SYSTEM_KEYS[code] : undefined);
const view = {catalog: null, episode: -1, predicted: [], came: null, widest: 0, ends: [], held: new Set(), frames: 0, told: performance.now(), shown: null, so_far: null, step: null, farewell: ""};
window.view = view; // for tests, and for whoever is curious

let socket = null, busy = false, newest = null;
function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { view.farewell = ""; view.ends = []; view.episode = -1; view.came = null; document.querySelector(".screen").classList.remove("lost"); state(); };
  socket.onmessage = ({data}) => { if (typeof data === "string") heard(JSON.parse(data)); else { newest = data; if (!busy) draw(); } };
  socket.onclose = ({reason}) => { disconnected(reason); setTimeout(connect, 1000); };
}
function disconnected(reason) {
  if (reason) view.farewell = reason;
  by("status").textContent = `disconnected${reason ? `: ${reason}` : ""}; trying again`;
  document.querySelector(".screen").classList.add("lost"); state();
}
function state() { // what keeps the picture from moving
  const lost = document.querySelector(".screen").classList.contains("lost"), paused = view.catalog && view.catalog.paused, waits = view.catalog && view.catalog.waits;
  by("state").textContent = lost ? `${view.farewell || "disconnected"}: this is the last picture` : paused ? "paused" : "nobody is at the pad: P takes it";
  by("state").hidden = !lost && !paused && !waits;
}
const ask = (message) => { if (view.catalog && socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };

async function draw() {
  busy = true;
  while (newest) {
    const data = newest; newest = null;
    const length = new DataView(data).getUint32(0), header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    let at = 4 + length;
    const pictures = [];
    for (const size of header.sizes) { pictures.push(size ? new Blob([new Uint8Array(data, at, size)], {type: "image/png"}) : null); at += size; }
    const [screen, stack, map] = await Promise.all(pictures.map((one) => one && createImageBitmap(one)));
    show(header, screen, stack, map);
    await new Promise(requestAnimationFrame);
  }
  busy = false;
}

function show(header, screen, stack, map) {
  view.frames += 1; view.shown = header;
  by("screen").getContext("2d").drawImage(screen, 0, 0);
  if (stack) frames(stack);
  by("saliency").hidden = !map;
  if (map) overlay(map);
  for (const key of ["x", "score", "coins", "clock", "frame"]) by(key).textContent = header[key].toLocaleString("en");
  by("stage_now").textContent = header.stage;
  if (header.episode !== view.episode) { anew(header.episode); pasts(); }
  here(); scrubber(header);
  if (header.ended) banner(header.ended); else if (view.catalog && !view.catalog.thinks) by("banner").hidden = true;
  for (const part of by("controller").children) part.classList.toggle("on", Boolean(header.byte & part.dataset.bit));
  if (header.decision) decided(header.decision);
  const now = performance.now();
  if (now - view.told > 1000) {
    const rate = Math.round(view.frames * 1000 / (now - view.told));
    by("status").textContent = `${rate} frames per second${header.agent_steps ? `; ${header.agent_steps.toLocaleString("en")} agent steps of training` : ""}`;
    view.frames = 0; view.told = now;
  }
}

function frames(stack) { // side by side in one picture, oldest first
  const count = Math.round(stack.width / 84), box = by("stack");
  if (box.children.length !== count) {
    box.replaceChildren(...Array.from({length: count}, (_, index) => {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
      canvas.width = canvas.height = 84; caption.textContent = index + 1 < count ? `t\u2212${count - 1 - index}` : "t";
      figure.append(canvas, caption);
      return figure;
    }));
  }
  [...box.querySelectorAll("canvas")].forEach((canvas, index) => canvas.getContext("2d").drawImage(stack, -84 * index, 0));
}

function overlay(map) {
  const canvas = by("saliency"), pen = canvas.getContext("2d", {willReadFrequently: true});
  pen.clearRect(0, 0, 84, 84); pen.drawImage(map, 0, 0);
  const pixels = pen.getImageData(0, 0, 84, 84), data = pixels.data;
  for (let i = 0; i < data.length; i += 4) { data[i + 3] = Math.max(0, data[i] - 85) * 220 / 170; data[i] = 255; data[i + 1] = 60; data[i + 2] = 200; }
  pen.putImageData(pixels, 0, 0);
  // The article's picture is rows 18 to 101 of 110; the plain one is the whole screen.
  const [top, height] = view.catalog && view.catalog.grayscale === "article" ? [18 / 110, 84 / 110] : [0, 1];
  canvas.style.top = `${top * 100}%`; canvas.style.height = `${height * 100}%`;
}

function decided({step, q_values, action, best, buttons}) {
  const bars = by("bars").children;
  if (bars.length !== q_values.length) return;
  const worst = Math.min(...q_values);
  view.widest = Math.max(view.widest, Math.max(...q_values) - worst);
  q_values.forEach((value, index) => {
    bars[index].querySelector("i").style.width = `${view.widest ? (value - worst) / view.widest * 100 : 0}%`;
    bars[index].querySelector("output").textContent = value.toFixed(2);
    bars[index].classList.toggle("chosen", index === action);
    bars[index].classList.toggle("would", index === best && action !== best);
  });
  by("widest").textContent = view.widest.toFixed(2);
  const sorted = [...q_values].sort((a, b) => b - a);
  by("gap").textContent = `best over second by ${(sorted[0] - (sorted[1] ?? sorted[0])).toFixed(3)}`;
  by("played").textContent = action === null ? `you: ${buttons}` : action === best ? `agent: ${buttons}` : `random: ${buttons}`;
  view.predicted[step] = sorted[0];
  if (step !== view.step) { view.step = step; chart(); }
}

function lines(canvas, sets, {from_zero = false, now = null} = {}) {
  const pen = canvas.getContext("2d"), scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * scale; canvas.height = height * scale; pen.scale(scale, scale);
  const style = getComputedStyle(document.documentElement), points = sets.flatMap((set) => set.points);
  if (!points.length) return;
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const right = Math.max(...xs, 1), low = Math.min(from_zero ? 0 : Infinity, ...ys), high = Math.max(...ys, low + 1e-6);
  const place = ([x, y]) => [44 + x / right * (width - 56), height - 18 - (y - low) / (high - low) * (height - 30)];
  pen.font = "12px system-ui, sans-serif"; pen.fillStyle = style.getPropertyValue("--faint");
  pen.fillText(high.toFixed(high > 100 ? 0 : 1), 4, 16); pen.fillText(low.toFixed(high > 100 ? 0 : 1), 4, height - 18);
  pen.textAlign = "right"; pen.fillText(`${right.toLocaleString("en")} agent steps`, width - 6, height - 3); pen.textAlign = "left";
  if (now !== null && now < Math.max(...xs)) { pen.fillRect(place([now, low])[0], 6, 1.5, height - 24); } // gone back to
  for (const {points, colour, dots} of sets) {
    pen.strokeStyle = pen.fillStyle = style.getPropertyValue(colour); pen.lineWidth = 1.6; pen.beginPath();
    points.map(place).forEach(([x, y], index) => { if (dots) { pen.moveTo(x + 3, y); pen.arc(x, y, 3, 0, 7); } else if (index) pen.lineTo(x, y); else pen.moveTo(x, y); });
    if (dots) pen.fill(); else pen.stroke();
  }
}

function chart() {
  const series = (values) => values.map((value, step) => [step, value]).filter(([, value]) => value !== undefined);
  lines(by("chart"), [{points: series(view.predicted), colour: "--main"}, ...(view.came ? [{points: series(view.came), colour: "--best"}] : [])], {now: view.step});
}

const stage_pixels = () => Math.max(LEAST_STAGE_PIXELS, view.catalog ? view.catalog.seen : 0, view.shown ? view.shown.x : 0, ...view.ends.map(({x}) => x));

function strip() {
  const whole = stage_pixels();
  by("ends").replaceChildren(...view.ends.map(({x, end}) => {
    const mark = document.createElement("i");
    mark.style.left = `${x / whole * 100}%`; mark.className = end.split(" ")[0]; mark.title = `${end} at x ${x}`;
    return mark;
  }));
  by("stage_picture").style.width = `${(view.catalog ? view.catalog.seen : 0) / whole * 100}%`;
  here();
}

function here() {
  by("here").style.left = `${(view.shown ? view.shown.x : 0) / stage_pixels() * 100}%`;
}

function anew(episode) {
  const past = view.ends.find(({number}) => number === episode); // gone back to
  view.episode = episode; view.predicted = view.so_far && view.so_far.episode === episode ? [...view.so_far.predicted] : []; view.came = past ? past.returns : null; view.widest = 0; view.step = null;
  by("banner").hidden = true; strip(); chart();
}

function scrubber({episode, frame, frames}) {
  const scrub = by("scrub");
  scrub.max = frames;
  if (!view.scrubbing) scrub.value = frame;
  by("back").disabled = frame === 0; by("forth").disabled = frame >= frames;
  by("past").value = String(episode);
}
const seek = (frame) => { if (view.shown) ask({do: "seek", episode: view.shown.episode, frame: Math.max(0, Math.min(frame, view.shown.frames))}); };

function banner({end, caption}) {
  if (end === "broken off") return; // by whoever asked for something else
  by("banner").textContent = caption; by("banner").className = end.split(" ")[0]; by("banner").hidden = false;
}

function heard({catalog, ended, so_far}) {
  if (so_far) { view.so_far = so_far; if (so_far.episode === view.episode) anew(so_far.episode); } // else with its first picture
  if (ended) {
    if (view.catalog && ended.stage === view.catalog.stage) view.ends.push(ended);
    if (ended.number === view.episode) { view.predicted = ended.predicted; view.came = ended.returns; chart(); banner(ended); }
    strip();
  }
  if (!catalog) return;
  waiting(catalog);
  if (catalog.waiting) { view.catalog = null; return; }
  const before = view.catalog; view.catalog = catalog;
  const elsewhere = !before || before.stage !== catalog.stage;
  if (elsewhere) view.ends = [];
  if (elsewhere || before.seen !== catalog.seen) {
    by("stage_picture").hidden = !catalog.seen;
    if (catalog.seen) by("stage_picture").src = `stage.png?seen=${catalog.seen}`;
    strip();
  }
  options("stage", catalog.stages.map((name) => [name, name]), catalog.stage);
  options("agent", catalog.agents.map((name, index) => [index, name]), catalog.agent);
  options("checkpoint", catalog.checkpoints.map((name, index) => [index, name]), catalog.checkpoint);
  pasts();
  options("speed", SPEEDS, catalog.speed);
  by("protocol").value = catalog.protocol; by("see").checked = catalog.saliency; by("scale").hidden = !catalog.saliency;
  by("title").textContent = catalog.title; document.title = `${catalog.title}: mario_rl`;
  document.body.classList.toggle("alone", !catalog.thinks); document.body.classList.toggle("solo", catalog.solo); by("keys").hidden = catalog.thinks;
  if (catalog.solo && !catalog.pad) pad(view.held); // whoever opens the page is at the pad
  if (catalog.thinks) mind(catalog, before); else by("card").textContent = catalog.about;
  by("tally").textContent = catalog.tally[1] ? `cleared ${catalog.tally[0]} of ${catalog.tally[1]}` : "no episode has ended";
  state();
  by("pause").textContent = catalog.paused ? "Play" : "Pause";
  by("pad").firstChild.textContent = catalog.pad ? "Give the pad back" : "Take the pad"; by("pad").setAttribute("aria-pressed", catalog.pad);
  if (catalog.failure) by("status").textContent = catalog.failure;
}

function pasts() { // and the one that is shown, if it is not over yet
  if (!view.shown || !view.catalog) return;
  const {shown: {episode}, catalog: {past}} = view, now = past.some(([number]) => number === episode) ? [] : [[episode, "this episode"]];
  options("past", [...now, ...past], episode);
}

function waiting(catalog) { // for a run's first checkpoint: there is nothing to play and nothing to control
  const waits = Boolean(catalog.waiting), text = catalog.failure || catalog.waiting;
  by("waiting").hidden = !waits; document.body.classList.toggle("waits", waits);
  if (waits) { by("title").textContent = catalog.agent; by("waiting").textContent = text; by("status").textContent = "waiting for the first checkpoint"; }
}

function mind(catalog, before) { // what is said of the agent
  const rates = Object.entries(catalog.card).map(([protocol, [clears, episodes]]) => `${clears} of ${episodes} (${protocol})`);
  by("card").textContent = `seed ${catalog.seed}, protocol ${catalog.protocol}${rates.length ? `; its card: clears ${rates.join(", ")}` : ""}`;
  by("unit").textContent = `, in units of ${catalog.points_per_reward.toLocaleString("en")} points, each later agent step counted ${catalog.gamma.toLocaleString("en")} times as much as the one before`;
  if (!before || !before.actions || before.actions.join() !== catalog.actions.join()) bars(catalog.actions);
}

async function save(kind) { // the episode that is shown, whole
  if (!view.shown) return;
  const asked = `episode=${view.shown.episode}`, told = by("saved");
  told.textContent = kind === "film" ? "making the film" : "";
  const answer = await fetch(`save?as=${kind}&${asked}`, {method: "POST"});
  if (answer.ok) told.textContent = `saved: ${(await answer.json()).path}`;
  else if (answer.status === 403) { // not on the machine that plays: it comes as a download
    const link = document.createElement("a");
    link.href = `episode.${kind === "film" ? "mp4" : "json"}?${asked}`; link.download = ""; link.click();
    told.textContent = "sent as a download";
  } else told.textContent = `not saved: ${await answer.text()}`;
}

function options(id, choices, chosen) {
  const box = by(id), text = JSON.stringify(choices);
  if (box.dataset.choices !== text) {
    box.dataset.choices = text;
    box.replaceChildren(...choices.map(([value, name]) => new Option(name, value)));
  }
  if (document.activeElement !== box || box.value === "") box.value = String(chosen);
}

function bars(actions) {
  by("bars").replaceChildren(...actions.map((name) => {
    const row = document.createElement("div"); row.className = "bar";
    const label = document.createElement("b"), track = document.createElement("span"), value = document.createElement("output");
    label.textContent = label.title = name;
    track.append(document.createElement("i")); row.append(label, track, value);
    return row;
  }));
}

async function curve() {
  const {mean_x, of, evaluations} = await (await fetch("curve.json")).json();
  by("training").hidden = !mean_x.length;
  if (mean_x.length) {
    by("of").textContent = of.toLocaleString("en");
    by("evaluated").hidden = !evaluations.length;
    lines(by("curve"), [{points: mean_x, colour: "--main"}, {points: evaluations, colour: "--best", dots: true}], {from_zero: true});
  }
}

const pad = (held) => ask({do: "pad", held: held === null ? null : [...held]});
const toggle_pad = () => { if (view.catalog && view.catalog.pad) pad(null); else { view.held.clear(); pad(view.held); } };
const toggle_pause = () => ask({do: view.catalog && view.catalog.paused ? "play" : "pause"});
by("pause").onclick = toggle_pause; by("step").onclick = () => ask({do: "step"}); by("restart").onclick = () => ask({do: "restart"}); by("pad").onclick = toggle_pad;
by("speed").onchange = ({target}) => ask({do: "speed", speed: Number(target.value)});
by("stage").onchange = ({target}) => ask({do: "stage", stage: target.value});
by("protocol").onchange = ({target}) => ask({do: "protocol", protocol: target.value});
by("agent").onchange = ({target}) => ask({do: "agent", index: Number(target.value)});
by("checkpoint").onchange = ({target}) => ask({do: "checkpoint", index: Number(target.value)});
by("back").onclick = () => seek(view.shown.frame - 1); by("forth").onclick = () => seek(view.shown.frame + 1);
by("scrub").oninput = ({target}) => { view.scrubbing = true; seek(Number(target.value)); };
by("scrub").onchange = () => { view.scrubbing = false; };
by("past").onchange = ({target}) => ask({do: "seek", episode: Number(target.value), frame: 0});
by("save_film").onclick = () => save("film"); by("save_trajectory").onclick = () => save("trajectory");
by("see").onchange = ({target}) => ask({do: "saliency", on: target.checked});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const button = view.catalog && view.catalog.pad ? key(event.code) : undefined;
  if (button) { event.preventDefault(); if (!view.held.has(button)) { view.held.add(button); pad(view.held); } return; }
  if (event.repeat || (event.target.tagName === "BUTTON" && event.code === "Space")) return;
  const act = {Space: toggle_pause, KeyN: () => ask({do: "step"}), KeyR: () => ask({do: "restart"}), Comma: () => seek(view.shown.frame - 1), Period: () => seek(view.shown.frame + 1), KeyP: toggle_pad}[event.code];
  if (act && event.target.tagName !== "INPUT") { event.preventDefault(); act(); }
});
addEventListener("keyup", (event) => {
  const button = key(event.code);
  if (button && view.held.delete(button) && view.catalog && view.catalog.pad) pad(view.held);
});
addEventListener("blur", () => { if (view.held.size) { view.held.clear(); if (view.catalog && view.catalog.pad) pad(view.held); } });
addEventListener("resize", () => { chart(); curve(); });
for (const [name, glyph, bit] of BUTTONS) {
  const part = document.createElement("span"); part.textContent = glyph; part.title = name; part.dataset.bit = bit; part.classList.toggle("system", bit === 4 || bit === 8); by("controller").append(part);
  part.onpointerdown = () => { if (view.catalog && view.catalog.pad) { view.held.add(name); pad(view.held); } };
  part.onpointerup = part.onpointerleave = part.onpointercancel = () => { if (view.held.delete(name) && view.catalog && view.catalog.pad) pad(view.held); };
  part.oncontextmenu = (event) => event.preventDefault(); // a long press holds the button
}
strip(); connect(); curve(); setInterval(curve, 5000);

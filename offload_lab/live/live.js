"use strict";
// The page of ./lab live: draws frames, plain data that live/frame.py makes, as they come or from a recording.
// All text is set as textContent: what a client wrote stays text.

const FEW = 5; // tokens at one place that carry their names; more are dots, and more than the frame names are a count
const LATE_S = 0.2; // a bystander who waited longer is drawn as one who waited
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#8fb8de", "#d9a066"];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const $ = (id) => document.getElementById(id);

const state = { about: null, frames: [], shown: -1, frozen: false, replay: false, sides: [] };

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function bytes(count) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (count < 1024 || unit === "GiB") return `${count < 10 && unit !== "B" ? count.toFixed(1) : Math.round(count)} ${unit}`;
    count /= 1024;
  }
}

const milliseconds = (ms) => (ms === null ? "–" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en")} ms`);

// --- one side

class SideView {
  constructor(about, parent) {
    this.about = about;
    this.root = make("section", "side", parent);
    this.root.setAttribute("aria-label", about.title);
    const line = make("h2", "sentence", this.root);
    make("span", "variant", line, about.title.split(" ").slice(1).join(" ") || about.title);
    this.sentence = make("span", "text", line);
    this.spoken = make("p", "hidden", this.root);
    this.spoken.setAttribute("aria-live", "polite");
    const scene = make("div", "scene", this.root);
    this.path = make("div", "path", scene);
    this.timeline = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.timeline.setAttribute("class", "timeline");
    this.timeline.setAttribute("role", "img");
    scene.append(this.timeline);
    const numbers = make("div", "numbers", this.root);
    const ini = make("div", "ini", this.root);
    this.lines = about.lines.slice(0, 2).map((one) => lineNode(one, ini, one.short));
    this.numbers = ["bystander waits", "connections held", "offloaded requests", "sent by"].map((label) => {
      const last = label === "sent by";
      return make("b", "", make("div", last ? "sent" : "", last ? ini : numbers, `${label} `));
    });
    this.columns = ["queues", "workers", "lanes", "backends"].map((name) => make("div", `column ${name}`, this.path));
    this.places = new Map();
    this.tokens = new Map();
  }

  draw(frame, window) {
    const side = frame;
    this.root.className = `side ${side.state}`;
    say(this.sentence, side.text);
    this.speak(side.text);
    this.drawPath(side);
    this.drawNumbers(side);
    drawTimeline(this.timeline, window);
    const offloads = side.workers.some((worker) => worker.lanes.some((lane) => lane.n)) || side.backends.some((one) => one.n);
    const busy = side.workers.some((worker) => worker.busy_s >= 0.3);
    this.lines.forEach((node, index) => {
      const by = this.about.lines[index].acts_by;
      node.classList.toggle("acts", (by === "offload" && offloads) || (by === "code" && busy));
    });
  }

  speak(text) { // not each second that passes, only what is new
    const gist = text.replace(/\d+ s\b/g, "").replace(/\d+ bystanders?/g, "");
    if (gist !== this.gist) {
      this.gist = gist;
      this.spoken.textContent = `${this.about.title}: ${text}`;
    }
  }

  place(key, className, parent) {
    if (!this.places.has(key)) {
      const box = make("div", `place ${className}`, parent);
      const one = { box, title: make("h3", "", box), belt: make("div", "belt", box), state: make("div", "state", box), tokens: make("div", "tokens", box) };
      make("span", "name", one.title);
      one.more = make("span", "more", one.title);
      this.places.set(key, one);
    }
    const found = this.places.get(key);
    if (found.box.parentNode !== parent) parent.append(found.box);
    this.alive.add(key);
    return found;
  }

  fill(key, className, parent, title, more, state, held) {
    const one = this.place(key, className.split(" ")[0], parent);
    one.box.className = `place ${className}`;
    say(one.title.firstChild, title);
    say(one.more, more);
    say(one.state, state);
    one.state.hidden = !state;
    this.wanted.push([one, held]);
    return one;
  }

  drawPath(side) {
    this.alive = new Set();
    this.wanted = [];
    const [queues, workers, lanes, backends] = this.columns;
    this.path.classList.toggle("without-backend", !side.backends.length);
    const queued = side.queue.n;
    this.fill("queue", "queue", queues, "queue", queued ? String(queued) : "", queued ? "" : "empty", side.queue);
    for (const worker of side.workers.slice(0, 4)) this.drawWorker(worker, workers, side.workers.length === 1);
    if (!side.workers.length) this.fill("worker", "worker stuck", workers, "no worker", "", "", { n: 0, tokens: [] });
    let threads = 0;
    for (const worker of side.workers.slice(0, 4)) {
      for (const lane of worker.lanes) {
        const one = this.fill(`lane ${lane.tid}`, `lane ${lane.n ? "some" : ""}`, lanes, `thread ${lane.number}`, lane.n ? `${bytes(lane.rate)}/s` : "none", "", lane);
        this.run(one, lane.rate);
        threads += 1;
      }
    }
    if (!threads) this.fill("no lane", "lane none", lanes, "no offload thread", "", "", { n: 0, tokens: [] });
    for (const backend of side.backends) {
      const text = backend.pid ? `${backend.under_way} of ${backend.cores}` : "down";
      this.fill(`backend ${backend.name}`, `backend ${backend.pid ? "" : "down"}`, backends, side.backends.length > 1 ? backend.name : "backend", "", text, backend).box.title = `${backend.name}: connections from the front, of the most that it serves`;
    }
    for (const [key, one] of this.places) {
      if (!this.alive.has(key)) {
        one.box.remove();
        this.places.delete(key);
      }
    }
    this.moveTokens();
  }

  drawWorker(worker, column, alone) {
    const stuck = worker.busy_s >= 1;
    const does = stuck ? `busy ${Math.floor(worker.busy_s)} s` : worker.busy ? "busy" : "idle";
    const className = `worker ${stuck ? "stuck" : worker.busy ? "busy" : "idle"}`;
    const [title, more, text] = alone ? ["worker", "", `PID ${worker.pid}\n${does}`] : [String(worker.pid), does, ""];
    const one = this.fill(`worker ${worker.pid}`, className, column, title, more, text, worker);
    one.box.title = worker.request;
    this.run(one, worker.rate);
  }

  run(one, rate) { // the belt moves as fast as the thread writes, on a scale that shows a byte and a gibibyte
    if (calm.matches) return;
    one.motion ??= one.belt.animate([{ transform: "translateX(0)" }, { transform: "translateX(60px)" }], { duration: 1000, iterations: Infinity });
    one.motion.playbackRate = state.frozen ? 0 : Math.log10(1 + rate) / 3;
  }

  moveTokens() {
    const before = new Map([...this.tokens].map(([name, node]) => [name, node.getBoundingClientRect()]));
    const seen = new Set();
    for (const [one, held] of this.wanted) {
      const named = held.n <= FEW;
      const row = held.tokens.map(([name, kind, left]) => {
        seen.add(name);
        const node = this.tokens.get(name) ?? this.newToken(name, kind);
        node.className = `token ${kind} ${left ? "left" : ""} ${named ? "" : "small"}`;
        node.title = left ? `${name}: has closed, and the server has not noticed` : name;
        return node;
      });
      one.times ??= make("span", "times", null);
      say(one.times, `×${held.n}`);
      const children = held.n > FEW ? [one.times, ...row] : row;
      if (children.length !== one.tokens.childNodes.length || children.some((node, index) => one.tokens.childNodes[index] !== node)) one.tokens.replaceChildren(...children);
    }
    for (const [name, node] of this.tokens) {
      if (!seen.has(name)) {
        node.remove();
        this.tokens.delete(name);
      }
    }
    if (!calm.matches && !state.frozen) for (const name of seen) this.glide(this.tokens.get(name), before.get(name));
  }

  newToken(name, kind) {
    const node = make("span", "token", null, name);
    node.style.setProperty("--own", PALETTE[Number(name.replace(/\D/g, "").slice(-5)) % PALETTE.length]);
    this.tokens.set(name, node);
    return node;
  }

  glide(node, from) { // from where it was; a new one comes through the queue and the worker
    const to = node.getBoundingClientRect();
    const stops = from ? [from] : this.entrance(node);
    const moves = stops.map((box) => ({ transform: `translate(${box.left - to.left}px, ${box.top - to.top}px)` }));
    if (from && Math.abs(from.left - to.left) + Math.abs(from.top - to.top) < 2) return;
    node.animate([...moves, { transform: "none" }], { duration: from ? 240 : 600, easing: "ease-in-out" });
  }

  entrance(node) {
    const boxes = [this.places.get("queue").tokens.getBoundingClientRect()];
    const worker = [...this.places].find(([key]) => key.startsWith("worker"));
    if (worker && !node.closest(".queue")) boxes.push(worker[1].tokens.getBoundingClientRect());
    return node.closest(".queue") ? [] : boxes;
  }

  drawNumbers(side) {
    const [wait, held, offloaded, sent] = this.numbers;
    say(wait, milliseconds(side.wait_ms) + (side.waiting > 1 ? ` (${side.waiting} wait)` : ""));
    wait.classList.toggle("alarm", side.wait_ms > LATE_S * 1000);
    say(held, String(side.held));
    say(offloaded, String(side.offloaded));
    say(sent, `worker ${bytes(side.worker_bytes)}, threads ${bytes(side.thread_bytes)}`);
  }
}

function lineNode(one, parent, text) {
  const node = make("code", `line ${one.missing ? "missing" : ""}`, parent, text ?? one.text);
  node.title = one.missing ? `${one.text} (this side has no such line)` : one.text;
  return node;
}

// --- the last seconds, in the grammar of the signature picture

function draw(svg, tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  svg.append(node);
}

function drawTimeline(svg, { rows, now, span }) {
  const [width, height] = [svg.clientWidth || 400, svg.clientHeight || 152];
  const gutter = innerWidth > 1000 ? 92 : 66;
  const x = (at) => gutter + Math.max(0, (at - now + span) / span) * (width - gutter - 4);
  const [top, lane, bottom] = [2, 26, height - 24];
  svg.replaceChildren();
  draw(svg, "defs", {});
  svg.firstChild.innerHTML = '<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" style="fill:var(--stuck)"/><rect width="3" height="8" style="fill:var(--hatch)"/></pattern>';
  ["worker", "held", "waits"].forEach((word, index) => draw(svg, "text", { x: 0, y: [top + 21, top + lane + 25, top + 2 * lane + 30][index] }, word));
  const probes = new Map();
  rows.forEach(([at, side], index) => {
    const until = index + 1 < rows.length ? rows[index + 1][0] : at + 0.25;
    const busy = side.workers.some((worker) => worker.busy);
    const fill = !side.workers.length ? "var(--line)" : busy ? "url(#hatch)" : "var(--free)";
    draw(svg, "rect", { x: x(at), y: top, width: Math.max(x(until) - x(at) + 0.4, 1), height: lane - 6, style: `fill:${fill}` });
    const staying = side.held - passing(side);
    const thick = staying > 0 ? Math.min(lane - 6, 6 + 5 * Math.log2(1 + staying)) : 0;
    if (thick) draw(svg, "rect", { x: x(at), y: top + 2 * lane - 2 - thick, width: Math.max(x(until) - x(at) + 0.4, 1), height: thick, style: "fill:var(--transfer)" });
    for (const probe of side.probes) probes.set(probe.number, probe);
  });
  const first = top + 2 * lane + 6;
  const slots = Math.max(4, Math.floor((bottom - first) / 6));
  for (const probe of probes.values()) {
    const end = probe.answered ?? now;
    if (end < now - span) continue;
    const late = end - probe.sent > LATE_S;
    const y = first + ((probe.number % slots) + 0.5) * ((bottom - first) / slots);
    const colour = late ? "var(--stuck)" : "var(--free)";
    draw(svg, "line", { x1: x(probe.sent), x2: Math.max(x(end), x(probe.sent) + 3), y1: y, y2: y, style: `stroke:${colour};stroke-width:${late ? 3 : 5}` });
    if (late) draw(svg, "circle", { cx: x(end), cy: y, r: probe.answered === null ? 1 : 4, style: `fill:${colour}` });
  }
  draw(svg, "text", { x: gutter, y: height - 3, class: "axis" }, `${span} s ago`);
  draw(svg, "text", { x: width - 2, y: height - 3, "text-anchor": "end", class: "axis" }, "now");
  svg.setAttribute("aria-label", `the last ${span} seconds: worker, connections held, each bystander's wait`);
}

function passing(side) {
  const places = side.workers.flatMap((worker) => [worker, ...worker.lanes]);
  return places.reduce((sum, one) => sum + one.tokens.filter(([, kind]) => kind === "bystander" || kind === "ping").length, 0);
}

// --- frames

function windowOf(number, index) {
  const now = state.frames[index].at;
  const span = state.about.window_s;
  const first = state.frames.findIndex((one) => one.at >= now - span - 1);
  return { rows: state.frames.slice(first, index + 1).map((one) => [one.at, one.sides[number]]), now, span };
}

function show(index) {
  if (index < 0 || index >= state.frames.length) return;
  state.shown = index;
  const frame = state.frames[index];
  frame.sides.forEach((side, number) => state.sides[number].draw(side, windowOf(number, index)));
  say($("cost"), `Watching costs ${frame.cost_percent} % of one core.`);
  const told = frame.sides.map((side, number) => told_by(side, state.about.sides[number])).filter(Boolean);
  say($("messages"), (state.frozen ? `frozen at ${frame.at.toFixed(1)} s   ` : "") + told.join("   ·   "));
  drawButtons(frame);
  document.body.dataset.frame = frame.n;
}

function told_by(side, about) {
  const clients = side.clients;
  const counts = ["later", "waiting", "refused", "ended", "failed"].filter((name) => clients[name]).map((name) => `${clients[name]} ${name}`);
  const parts = [side.message, clients.last, ...counts].filter(Boolean);
  return parts.length ? `${about.title.split(" ").slice(1).join(" ") || about.title}: ${parts.join(", ")}` : "";
}

function begin(about, replay) {
  Object.assign(state, { about, replay, frames: [], shown: -1 });
  document.title = `${about.step} live`;
  $("sides").replaceChildren();
  state.sides = about.sides.map((side) => new SideView(side, $("sides")));
  $("lines").replaceChildren();
  about.sides.forEach((side) => {
    make("h3", "", $("lines"), `${side.title}: ${side.says}`);
    side.lines.forEach((one) => make("div", "", $("lines")).append(lineNode(one)));
  });
  makeButtons();
}

function take(frames) {
  const last = state.frames.length ? state.frames.at(-1).n : 0;
  state.frames.push(...frames.filter((one) => one.n > last));
  if (state.frames.length > 2400) {
    state.shown -= state.frames.splice(0, state.frames.length - 1200).length;
  }
  if (!state.frozen) show(state.frames.length - 1);
}

// --- buttons and keys

function makeButtons() {
  $("buttons").replaceChildren();
  const actions = state.replay ? [] : state.about.actions;
  for (const one of actions) {
    if (state.about.sides.every((side) => side.actions[one.name])) continue; // neither side has it
    button(one.name, one.label, one.key, () => act(one.name));
  }
  button("freeze", "Freeze", " ", toggleFrozen);
  button("back", "←", "ArrowLeft", () => step(-1));
  button("forth", "→", "ArrowRight", () => step(1));
  button("save", "Save", "v", save);
}

function button(name, label, key, press) {
  const node = make("button", "", $("buttons"));
  underline(node, label, key);
  node.id = `do-${name}`;
  node.type = "button";
  node.title = key === " " ? "key: space" : `key: ${key}`;
  node.setAttribute("aria-keyshortcuts", key === " " ? "Space" : key);
  node.dataset.key = key;
  node.addEventListener("click", press);
}

function underline(node, label, key) { // the letter that presses it
  const at = label.toLowerCase().indexOf(key);
  if (node.textContent === label) return;
  node.replaceChildren(label.slice(0, Math.max(at, 0)));
  if (at >= 0) make("u", "", node, label[at]);
  node.append(label.slice(at + 1));
}

function drawButtons(frame) {
  const is = (name) => frame.sides.some((side) => side[name]);
  const down = frame.sides.some((side) => side.backends.some((one) => !one.pid));
  const labels = { login: is("logged_in") ? "Log out" : "Log in", reading: is("reading") ? "Stop reading" : "Read again", stop_backend: down ? "Start backend" : "Stop backend" };
  for (const [name, label] of Object.entries(labels)) {
    const node = $(`do-${name}`);
    if (node) underline(node, label, node.dataset.key);
  }
  $("do-freeze").setAttribute("aria-pressed", state.frozen);
}

async function act(action) {
  const answer = await fetch("act", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ action }) }).catch(() => null);
  if (!answer) return lost("The view has ended: its process is gone. Start it again with ./lab live");
  if (!answer.ok) return lost(await answer.text());
  document.body.dataset.asked = (await answer.json()).number;
}

function toggleFrozen() {
  state.frozen = !state.frozen;
  show(state.frozen || state.replay ? state.shown : state.frames.length - 1);
}

function step(by) {
  state.frozen = true;
  show(Math.min(Math.max(state.shown + by, 0), state.frames.length - 1));
}

function save() {
  const link = make("a", "", null);
  link.download = `${state.about.step}-live.json`;
  const recording = { live: 1, about: state.about, frames: state.frames };
  link.href = state.replay ? URL.createObjectURL(new Blob([JSON.stringify(recording)], { type: "application/json" })) : "recording";
  link.click();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && document.activeElement?.matches("button:focus-visible")) return;
  const node = [...document.querySelectorAll("button")].find((one) => one.dataset.key === event.key || one.dataset.key === event.key.toLowerCase());
  if (!node) return;
  event.preventDefault();
  if (!(event.repeat && !event.key.startsWith("Arrow"))) node.click();
});
addEventListener("resize", () => show(state.shown));

// --- where frames come from

function lost(text) {
  say($("lost"), text);
  $("lost").hidden = !text;
}

function follow() {
  const source = new EventSource("events");
  source.addEventListener("about", (event) => {
    lost("");
    const about = JSON.parse(event.data);
    if (!state.about) begin(about, false);
  });
  source.addEventListener("frames", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => lost("The view has ended, or cannot be reached. Start it again with ./lab live"));
}

function play(recording) {
  begin(recording.about, true);
  state.frames = recording.frames;
  const start = recording.frames[0].at;
  const length = recording.frames.at(-1).at - start;
  let clock = start;
  let before = performance.now();
  show(0);
  setInterval(() => {
    const now = performance.now();
    if (!state.frozen) {
      clock += (now - before) / 1000;
      if (clock > start + length + 2) clock = start; // from the beginning
      const next = state.frames.findLastIndex((one) => one.at <= clock);
      if (next !== state.shown) show(next);
    } else {
      clock = state.frames[state.shown].at;
    }
    before = now;
  }, 60);
}

const recording = document.getElementById("recording");
if (recording) play(JSON.parse(recording.textContent));
else follow();

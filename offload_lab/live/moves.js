"use strict";
// What happens between the places of a path: arrows, bold where connections have just gone, dotted where none was seen
// to go; pipes in which what backends send flows to threads; tokens on their way, above all boxes.

const FLIGHT_MS = 900;
const ARROW = 9; // pixels
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Connections that stay: bystanders and pings only pass.
const staying = (place) => place.n - place.tokens.filter(([, kind]) => kind === "bystander" || kind === "ping").length;

// Seconds since `count(side)` last grew in these rows; Infinity where it did not.
function sinceGrown(rows, count) {
  for (let index = rows.length - 1; index > 0; index -= 1) {
    if (count(rows[index][1]) > count(rows[index - 1][1])) return rows.at(-1)[0] - rows[index][0];
  }
  return Infinity;
}

const laneOf = (side, tid) => side.workers.flatMap((worker) => worker.lanes).find((lane) => lane.tid === tid);
const inLane = (tid) => (side) => { const lane = laneOf(side, tid); return lane ? staying(lane) : 0; };
const inBackend = (name) => (side) => side.backends.find((one) => one.name === name)?.n ?? 0;
const byWorkers = (side) => side.workers.reduce((sum, worker) => sum + staying(worker), 0);

class Moves {
  constructor(path) {
    this.path = path;
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("class", "links");
    this.svg.setAttribute("aria-hidden", "true");
    path.append(this.svg);
    this.flights = make("div", "flights", path);
  }

  // `box(key)`: the element of a place, if it is shown; `rows`: of the last seconds; `all`: as many as the chart shows.
  drawLinks(side, box, rows, all) {
    this.origin = this.path.getBoundingClientRect();
    this.svg.replaceChildren();
    for (const worker of side.workers) {
      const from = box(`worker ${worker.pid}`);
      if (!from) continue;
      const ages = [sinceGrown(rows, byWorkers)];
      for (const lane of worker.lanes) {
        const age = sinceGrown(rows, inLane(lane.tid));
        const unused = !lane.n && sinceGrown(all, inLane(lane.tid)) === Infinity;
        this.arrow(from, box(`lane ${lane.tid}`), age, !unused ? "" : isStuck(worker) ? "kept" : "unused");
        ages.push(age);
      }
      for (const backend of side.backends) { // a socket that is passed goes past the threads
        const age = sinceGrown(rows, inBackend(backend.name));
        if (age < Infinity) this.arrow(from, box(`backend ${backend.name}`), age);
        ages.push(age);
      }
      this.arrow(box("queue"), from, Math.min(...ages));
    }
    this.drawPipes(side, box);
  }

  arrow(from, to, age, unused = "") {
    if (!to) return;
    const [a, b] = [this.inPath(from), this.inPath(to)];
    const right = b.left >= a.right;
    const along = (low, high, middle) => Math.min(Math.max(middle, low + 14), high - 14);
    if (!right) b.top = this.inPath(to.parentNode).top; // on a phone, one for all threads
    const [x1, y1] = right ? [a.right, along(a.top, a.bottom, (b.top + b.bottom) / 2)] : [along(a.left, a.right, (b.left + b.right) / 2), a.bottom];
    const [x2, y2] = right ? [b.left, y1] : [x1, b.top];
    const bold = age < state.about.alarm_s;
    const size = bold ? ARROW + 3 : ARROW;
    const head = right ? `${x2 - size},${y2 - size} ${x2},${y2} ${x2 - size},${y2 + size}` : `${x2 - size},${y2 - size} ${x2},${y2} ${x2 + size},${y2 - size}`;
    const group = { class: `link ${bold ? "bold" : unused}`, opacity: bold ? 1 - (0.6 * age) / state.about.alarm_s : 1 };
    const line = { x1, y1, x2: right ? x2 - size : x2, y2: right ? y2 : y2 - size };
    if (bold) draw(this.svg, "line", { ...line, class: "casing" }); // it lies above what it crosses
    draw(this.svg, "line", { ...line, ...group });
    draw(this.svg, "polygon", { points: head, ...group });
    if (unused !== "kept") return; // a bar: what the worker holds, it has not handed over
    const bar = right ? { x1: x1 + 5, x2: x1 + 5, y1: y1 - 14, y2: y1 + 14 } : { x1: x1 - 14, x2: x1 + 14, y1: y1 + 5, y2: y1 + 5 };
    draw(this.svg, "line", { ...bar, class: "bar" });
  }

  // One bus for all threads and backends: which thread reads from which backend is not known here.
  drawPipes(side, box) {
    const lanes = side.workers.flatMap((worker) => worker.lanes).filter(staying);
    const backends = side.backends.filter((one) => one.pid && one.under_way > one.n);
    const starts = lanes.map((lane) => box(`lane ${lane.tid}`)).filter(Boolean).map((one) => this.inPath(one));
    const ends = backends.map((one) => this.inPath(box(`backend ${one.name}`)));
    if (!starts.length || !ends.length || ends[0].left < starts[0].right) return;
    const x = (starts[0].right + ends[0].left) / 2;
    const height = (one) => middle(one, "top", "bottom");
    const heights = [...starts, ...ends].map(height);
    const stubs = [...ends.map((one) => `M${one.left} ${height(one)}H${x}`), ...starts.map((one) => `M${x} ${height(one)}H${one.right}`)];
    const d = `${stubs.join("")}M${x} ${Math.min(...heights)}V${Math.max(...heights)}`;
    draw(this.svg, "path", { d, class: "pipe" });
    draw(this.svg, "path", { d, class: "pipe inside" });
    for (const one of starts) {
      const y = height(one);
      draw(this.svg, "polygon", { points: `${one.right + 10},${y - 10} ${one.right},${y} ${one.right + 10},${y + 10}`, class: "pipe-end" });
    }
  }

  inPath(node) {
    const box = node.getBoundingClientRect();
    return { left: box.left - this.origin.left, right: box.right - this.origin.left, top: box.top - this.origin.top, bottom: box.bottom - this.origin.top };
  }

  // A copy of `node` goes by `stops` (boxes) to where `node` is, which is not seen meanwhile.
  fly(node, stops, delay = 0) {
    const to = node.getBoundingClientRect();
    const origin = this.path.getBoundingClientRect();
    const copy = node.cloneNode(true);
    Object.assign(copy.style, { position: "absolute", left: `${to.left - origin.left}px`, top: `${to.top - origin.top}px`, width: `${to.width}px`, height: `${to.height}px` });
    this.flights.append(copy);
    const moves = stops.map((box) => ({ transform: `translate(${middle(box, "left", "right") - middle(to, "left", "right")}px, ${middle(box, "top", "bottom") - middle(to, "top", "bottom")}px)` }));
    const timing = { duration: FLIGHT_MS, delay, fill: "backwards", easing: "ease-in-out" };
    node.animate([{ opacity: 0 }, { opacity: 0 }], timing);
    copy.animate([...moves, { transform: "none" }], timing).finished.finally(() => copy.remove());
  }

  // A bystander that is answered: through the worker, and back, below the text of both.
  answered(queue, worker, delay) {
    const token = make("span", "token bystander small answered", this.flights);
    const [from, to, origin] = [queue.getBoundingClientRect(), worker.getBoundingClientRect(), this.path.getBoundingClientRect()];
    Object.assign(token.style, { position: "absolute", left: `${from.left - origin.left - 12}px`, top: `${from.bottom - origin.top - 30}px` });
    const there = `translate(${middle(to, "left", "right") - from.left}px, ${to.bottom - from.bottom}px)`;
    const timing = { duration: FLIGHT_MS, delay, fill: "backwards", easing: "ease-in-out" };
    token.animate([{ transform: "none", opacity: 0 }, { transform: there, opacity: 1 }, { transform: "none", opacity: 1 }], timing).finished.finally(() => token.remove());
  }
}

const middle = (box, low, high) => (box[low] + box[high]) / 2;

"use strict";
// One side of the page: its sentence, the path of each connection, its numbers and its lines of INI.
// All text is set as textContent: what a client wrote stays text.

const SPOKEN_EVERY_S = 3; // at most, to a screen reader
const LASTS_S = 0.7; // what is over sooner is not spoken
const FEW = 5; // tokens at one place that carry their names; more are dots, and more than the frame names are a count
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#8fb8de", "#d9a066"];
const $ = (id) => document.getElementById(id);

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

const isStuck = (worker) => worker.busy_s >= state.about.stuck_s;

const pidText = (pid) => (pid > 99999 ? String(pid) : `PID ${pid}`); // seven digits need the room

const variantOf = (about) => about.title.split(" ").slice(1).join(" ") || about.title;

class SideView {
  constructor(about, parent) {
    this.about = about;
    this.root = make("section", "side", parent);
    this.root.setAttribute("aria-label", about.title);
    const line = make("h2", "sentence", this.root);
    const variant = variantOf(about);
    make("span", "variant", line, variant);
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
    numbers.dataset.variant = variant;
    const ini = make("div", "ini", this.root);
    this.lines = about.lines.slice(0, 2).map((one) => lineNode(one, ini, one.short));
    this.numbers = ["bystander waits", "connections held", "offloaded requests", "sent by"].map((label) => {
      const last = label === "sent by";
      return make("b", "", make("div", last ? "sent" : "", last ? ini : numbers, `${label} `));
    });
    this.columns = ["queues", "workers", "lanes", "backends"].map((name) => make("div", `column ${name}`, this.path));
    this.moves = new Moves(this.path);
    this.places = new Map();
    this.tokens = new Map();
    this.flown = 0; // the number of the last bystander whose answer was shown
  }

  draw(frame, window) {
    const side = frame;
    this.root.className = `side ${side.state}`;
    say(this.sentence, side.text);
    this.speak(side.text, window.now);
    this.rows = window.rows;
    this.now = window.now;
    this.probes = new Map(window.rows.flatMap(([, each]) => each.probes).map((probe) => [probe.number, probe]));
    this.recent = window.rows.filter(([at]) => at >= window.now - state.about.alarm_s);
    this.drawPath(side);
    this.drawNumbers(side);
    drawTimeline(this.timeline, window, this.probes);
    const offloads = side.workers.some((worker) => worker.lanes.some((lane) => lane.n)) || side.backends.some((one) => one.n);
    const busy = side.workers.some((worker) => worker.busy_s >= 0.3);
    this.lines.forEach((node, index) => {
      const by = this.about.lines[index].acts_by;
      node.classList.toggle("acts", (by === "offload" && offloads) || (by === "code" && busy));
    });
  }

  speak(text, now) { // what is new, not each second that passes; what lasts, and not too often
    const gist = text.replace(/\d+ s\b/g, "").replace(/\d+ (?=stream|download|WebSocket|connection)/g, "");
    if (gist !== this.gist) [this.gist, this.gistAt] = [gist, now];
    if (gist === this.spokenGist) return;
    if (!state.frozen && (now - this.gistAt < LASTS_S || now - this.spokenAt < SPOKEN_EVERY_S)) return;
    [this.spokenGist, this.spokenAt] = [gist, now];
    this.spoken.textContent = `${this.about.title}: ${text}`;
  }

  place(key, className, parent) {
    if (!this.places.has(key)) {
      const box = make("div", `place ${className}`, parent);
      const one = { box, title: make("h3", "", box), stripes: make("div", "stripes", box), state: make("div", "state", box), tokens: make("div", "tokens", box) };
      make("span", "name", one.title);
      one.more = make("span", "more", one.title);
      this.places.set(key, one);
    }
    const found = this.places.get(key);
    if (found.box.parentNode !== parent) parent.append(found.box);
    this.alive.add(key);
    return found;
  }

  fill(key, className, parent, title, more, state, held, label = key) { // `label`: in what was lost there
    const one = this.place(key, className.split(" ")[0], parent);
    one.label = label;
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
    this.path.classList.toggle("several-backends", side.backends.length > 1);
    const queued = side.queue.n;
    this.fill("queue", "queue", queues, "queue", queued && queued <= FEW ? String(queued) : "", queued ? "" : "empty", side.queue);
    for (const worker of side.workers.slice(0, 4)) this.drawWorker(worker, workers, side.workers.length === 1);
    if (!side.workers.length) this.fill("worker", "worker gone", workers, "no worker", "", "", { n: 0, tokens: [] }, "worker");
    let threads = 0;
    for (const worker of side.workers.slice(0, 4)) {
      for (const lane of worker.lanes) {
        const one = this.fill(`lane ${lane.tid}`, `lane ${lane.n ? "some" : ""}`, lanes, `thread ${lane.number}`, lane.n ? `${bytes(lane.rate)}/s` : "none", "", lane, `lane ${lane.number}`);
        this.run(one, lane.rate);
        threads += 1;
      }
    }
    if (!threads) this.fill("no lane", "lane none", lanes, "no offload thread", "", "", { n: 0, tokens: [] });
    for (const backend of side.backends) {
      const several = side.backends.length > 1; // less room for each: its number is beside its name
      const text = backend.pid ? `${backend.under_way}${several ? "" : ` of ${backend.cores}\n${pidText(backend.pid)}`}` : several ? "✖" : "✖ down";
      const fresh = backend.pid && this.isNew(backend.pid, (other) => other.backends.find((one) => one.name === backend.name)?.pid);
      const title = `${fresh ? "⟳ " : ""}${several ? backend.name : "backend"}`;
      this.fill(`backend ${backend.name}`, `backend ${several ? "one" : ""} ${!backend.pid ? "down" : backend.n ? "some" : ""} ${fresh ? "new" : ""}`, backends, title, "", text, backend).box.title = `${backend.name}: connections from the front, of the most that it serves`;
    }
    for (const [key, one] of this.places) {
      if (!this.alive.has(key)) {
        one.box.remove();
        this.places.delete(key);
      }
    }
    this.moveTokens();
    this.moves.drawLinks(side, (key) => this.places.get(key)?.box, this.recent, this.rows);
    this.showAnswers(side.probes);
  }

  showAnswers(probes) {
    const worker = [...this.places].find(([key]) => key.startsWith("worker "))?.[1].box;
    const answered = probes.filter((probe) => probe.status === 200 && probe.number > this.flown);
    this.flown = Math.max(this.flown, ...answered.map((probe) => probe.number));
    if (calm.matches || state.frozen || !worker) return;
    answered.slice(-FEW).forEach((_, index) => this.moves.answered(this.places.get("queue").box, worker, 80 * index));
  }

  isNew(pid, pidIn) { // whether it has just taken the place of another process that the rows still show
    const known = this.rows.filter(([, side]) => pidIn(side));
    const since = known.find(([, side]) => pidIn(side) === pid)[0];
    return pidIn(known[0][1]) !== pid && since >= this.recent[0][0];
  }

  ghosts() { // who was lost in the last seconds, by the place where each was last seen
    const labels = new Set(this.wanted.map(([one]) => one.label));
    const found = new Map();
    for (const [at, side] of this.recent) {
      for (const { place, n, tokens } of side.lost ?? []) {
        const where = labels.has(place) ? place : place ? "worker" : "queue";
        const one = found.get(where) ?? { n: 0, tokens: [] };
        found.set(where, { n: one.n + n, tokens: [...one.tokens, ...tokens], age: this.recent.at(-1)[0] - at });
      }
    }
    return found;
  }

  drawWorker(worker, column, alone) {
    const stuck = isStuck(worker);
    const does = stuck ? `busy ${Math.floor(worker.busy_s)} s` : worker.busy ? "busy" : "idle";
    const fresh = alone && this.isNew(worker.pid, (other) => other.workers[0]?.pid);
    const className = `worker ${stuck ? "stuck" : worker.busy ? "busy" : "idle"} ${fresh ? "new" : ""}`;
    const [title, more, text] = alone ? [fresh ? "⟳ worker" : "worker", "", `${pidText(worker.pid)}\n${does}`] : [String(worker.pid), does, ""];
    const one = this.fill(`worker ${worker.pid}`, className, column, title, more, text, worker, "worker");
    one.box.title = worker.request;
    this.run(one, worker.rate);
  }

  run(one, rate) { // the stripes move as fast as the thread writes, on a scale that shows a byte and a gibibyte
    if (calm.matches) return;
    one.motion ??= one.stripes.animate([{ transform: "translateX(0)" }, { transform: "translateX(60px)" }], { duration: 1000, iterations: Infinity });
    one.motion.playbackRate = state.frozen ? 0 : Math.log10(1 + rate) / 3;
  }

  moveTokens() {
    const before = new Map([...this.tokens].map(([name, node]) => [name, [node.getBoundingClientRect(), node.parentNode]]));
    const seen = new Set();
    const ghosts = this.ghosts();
    for (const [one, held] of this.wanted) {
      const named = held.n <= FEW;
      const row = held.tokens.map(([name, kind, left]) => {
        seen.add(name);
        const node = this.tokens.get(name) ?? this.newToken(name, kind);
        node.className = `token ${kind} ${left ? "left" : ""} ${named && kind !== "bystander" ? "" : "small"}`; // a clock is as large among few as among many
        if (kind === "bystander") node.style.setProperty("--waited", this.waited(name));
        node.title = left ? `${name}: has closed, and the server has not noticed` : name;
        return node;
      });
      one.times ??= make("span", "times", null);
      say(one.times, `×${held.n}`);
      const lost = this.lostTokens(one, ghosts.get(one.label), seen);
      const kept = lost.length && !named ? row.slice(0, FEW) : row; // of many the last have no room
      const [first, ...rest] = lost; // a count, or a token with its name: both have room before the dots of who stays
      const children = [...(named ? [] : [one.times]), ...(first ? [first] : []), ...kept, ...rest];
      if (children.length !== one.tokens.childNodes.length || children.some((node, index) => one.tokens.childNodes[index] !== node)) one.tokens.replaceChildren(...children);
      one.tokens.classList.toggle("more", one.tokens.scrollHeight > one.tokens.clientHeight + 2); // fades out below
    }
    for (const [name, node] of this.tokens) {
      if (!seen.has(name)) {
        node.remove();
        this.tokens.delete(name);
      }
    }
    if (!calm.matches && !state.frozen) for (const name of seen) this.glide(this.tokens.get(name), before.get(name));
  }

  waited(name) { // of a bystander, from 0 to 1
    const probe = this.probes.get(Number(name.slice(1)));
    return probe ? Math.min(1, (this.now - probe.sent) / TALL_S) : 0;
  }

  lostTokens(one, ghosts, seen) {
    one.tokens.style.setProperty("--faded", ghosts ? 1 - (0.7 * ghosts.age) / state.about.alarm_s : 1);
    if (!ghosts) return [];
    const few = ghosts.n <= FEW;
    const row = ghosts.tokens.filter(([name]) => !seen.has(name)).slice(0, FEW).map(([name, kind]) => {
      seen.add(name);
      const node = this.tokens.get(name) ?? this.newToken(name, kind);
      node.className = `token ${kind} lost ${few ? "" : "small"}`;
      node.title = `${name}: its connection has ended, and it had not left`;
      return node;
    });
    one.gone ??= make("span", "gone", null);
    say(one.gone, `✖${ghosts.n}`);
    return few ? row : [one.gone, ...row];
  }

  newToken(name, kind) {
    const node = make("span", "token", null, name);
    node.style.setProperty("--own", PALETTE[Number(name.replace(/\D/g, "").slice(-5)) % PALETTE.length]);
    this.tokens.set(name, node);
    return node;
  }

  glide(node, from) { // within a box, or from box to box; a new one comes through the queue and the worker
    const [was, parent] = from ?? [];
    if (node.matches(".lost") || !node.isConnected || parent === null) return; // it stays, or there was no room for it
    const place = node.closest(".place").getBoundingClientRect();
    if (node.getBoundingClientRect().top > place.bottom - 8) return; // in a row that is cut
    if (parent !== node.parentNode) {
      const stops = was ? [was] : this.entrance(node);
      if (stops.length) this.moves.fly(node, stops);
      return;
    }
    const to = node.getBoundingClientRect();
    const [right, down] = [was.left - to.left, was.top - to.top];
    if (Math.abs(right) + Math.abs(down) >= 2) node.animate([{ transform: `translate(${right}px, ${down}px)` }, { transform: "none" }], { duration: 240, easing: "ease-in-out" });
  }

  entrance(node) {
    const boxes = [this.places.get("queue").tokens.getBoundingClientRect()];
    const worker = [...this.places].find(([key]) => key.startsWith("worker"));
    if (worker && !node.closest(".queue")) boxes.push(worker[1].tokens.getBoundingClientRect());
    return node.closest(".queue") ? [] : boxes;
  }

  drawNumbers(side) {
    const [wait, held, offloaded, sent] = this.numbers;
    say(wait, milliseconds(side.wait_ms));
    wait.classList.toggle("alarm", side.wait_ms > LATE_S * 1000);
    say(held, String(side.held));
    say(offloaded, String(side.offloaded));
    say(sent, side.worker_bytes === null ? "not told here" : `worker ${bytes(side.worker_bytes)}, threads ${bytes(side.thread_bytes)}`);
  }
}

function lineNode(one, parent, text) {
  const node = make("code", `line ${one.missing ? "missing" : ""}`, parent, text ?? one.text);
  node.title = one.missing ? `${one.text} (this side has no such line)` : one.text;
  return node;
}

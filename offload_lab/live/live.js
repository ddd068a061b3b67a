"use strict";
// The page of ./lab live: takes frames, plain data that live/frame.py makes, as they come or from a recording.
// timeline.js, moves.js and side.js come before it.

const SHORTEST_S = 8; // of the charts, which grow to the whole window
const state = { about: null, frames: [], shown: -1, frozen: false, replay: false, sides: [] };

// --- frames

function windowOf(number, index) {
  const now = state.frames[index].at;
  const whole = (state.replay ? now : state.frames.at(-1).at) - state.frames[0].at;
  const span = Math.min(state.about.window_s, Math.max(whole, SHORTEST_S));
  const shown = state.frames.slice(state.frames.findIndex((one) => one.at >= now - span - 1), index + 1);
  const most = Math.max(...shown.flatMap((one) => one.sides.map(held))); // both sides have one scale
  return { rows: shown.map((one) => [one.at, one.sides[number]]), now, span, most };
}

function show(index) {
  if (index < 0 || index >= state.frames.length) return;
  state.shown = index;
  const frame = state.frames[index];
  frame.sides.forEach((side, number) => state.sides[number].draw(side, windowOf(number, index)));
  say($("cost"), `Watching costs ${frame.cost_percent} % of one core.`);
  const told = frame.sides.map((side, number) => told_by(side, state.about.sides[number])).filter(Boolean);
  const frozen = state.frozen ? `frozen at ${frame.at.toFixed(1)} s   ` : "";
  say($("messages"), frozen + told.join("   ·   "));
  say($("spoken"), frozen + frame.sides.map((side, number) => side.message && `${variantOf(state.about.sides[number])}: ${side.message}`).filter(Boolean).join(". "));
  drawButtons(frame);
  document.body.dataset.frame = frame.n;
}

function told_by(side, about) {
  const clients = side.clients;
  const counts = ["later", "waiting", "refused", "ended", "failed"].filter((name) => clients[name]).map((name) => `${clients[name]} ${name}`);
  const parts = [side.message, clients.last, ...counts].filter(Boolean);
  return parts.length ? `${variantOf(about)}: ${parts.join(", ")}` : "";
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

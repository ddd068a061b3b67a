"use strict";
// The last seconds of a side: what was pressed, the worker, the connections held, how long each bystander waits.

const LATE_S = 0.2; // a bystander who waited longer is drawn as one who waited
const TALL_S = 5; // a bystander who waited so long has a bar of full height, and a full clock

const isWide = () => innerWidth > 1000;
const rowHeight = () => (isWide() ? 26 : 20); // pixels from row to row

function draw(svg, tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  svg.append(node);
}

function drawTimeline(svg, { rows, now, span, most }, probes) {
  const [width, height] = [svg.clientWidth || 400, svg.clientHeight || 152];
  const gutter = isWide() ? 92 : 66;
  const row = rowHeight();
  const x = (at) => gutter + Math.min(1, Math.max(0, (at - now + span) / span)) * (width - gutter - 4);
  const bottom = height - row + 2;
  svg.replaceChildren();
  draw(svg, "defs", {});
  svg.firstChild.innerHTML = '<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" style="fill:var(--stuck)"/><rect width="3" height="8" style="fill:var(--hatch)"/></pattern>';
  ["worker", "held", "waits"].forEach((word, index) => draw(svg, "text", { x: 0, y: (index + 2) * row - 6 + 4 * (index === 2) }, word));
  for (const [from, until, fill] of runs(rows, workerFill)) {
    draw(svg, "rect", { x: x(from), y: row, width: Math.max(x(until) - x(from), 1), height: row - 6, style: `fill:${fill}` });
  }
  for (const [from, until, count] of runs(rows, held)) {
    const high = Math.max(4, (count / most) * (row - 6));
    if (count) draw(svg, "rect", { x: x(from), y: 3 * row - 6 - high, width: Math.max(x(until) - x(from), 1), height: high, style: "fill:var(--transfer)" });
  }
  drawWaits(svg, rows, probes, now, x, 3 * row, bottom);
  drawEvents(svg, rows, x, width, bottom);
  drawLosses(svg, rows, x, width);
  draw(svg, "text", { x: gutter, y: height - 3, class: "axis" }, `${Math.round(span)} s${width < 260 ? "" : " ago"}`);
  draw(svg, "text", { x: width - 2, y: height - 3, "text-anchor": "end", class: "axis" }, "now");
  svg.setAttribute("aria-label", `the last ${Math.round(span)} seconds: worker, connections held, each bystander's wait`);
}

function workerFill(side) {
  if (!side.workers.length) return "var(--line)";
  return side.workers.some((worker) => worker.busy) ? "url(#hatch)" : "var(--free)";
}

const held = (side) => Math.max(0, side.held - passing(side)); // connections that stay

function runs(rows, read) { // one for all rows in which it stays the same: from, until, what
  const found = [];
  rows.forEach(([at, side], index) => {
    const until = index + 1 < rows.length ? rows[index + 1][0] : at + 0.25;
    const value = read(side);
    if (found.at(-1)?.[2] === value) found.at(-1)[1] = until;
    else found.push([at, until, value]);
  });
  return found;
}

function drawWaits(svg, rows, probes, now, x, top, bottom) { // a bar where each was sent, as high as it waited
  const first = rows[0][0];
  for (const probe of probes.values()) {
    if (probe.sent < first) continue;
    const end = probe.answered ?? now;
    const waited = end - probe.sent;
    const failed = probe.answered !== null && !probe.status;
    const high = Math.max(5, Math.min(1, waited / TALL_S) * (bottom - top - 2));
    const colour = failed || waited > LATE_S ? "var(--stuck)" : "var(--free)";
    draw(svg, "rect", { x: x(probe.sent) - 1.5, y: bottom - high, width: 3, height: high, style: `fill:${colour}` });
    if (waited > TALL_S) draw(svg, "polygon", { points: arrowhead(x(probe.sent), top + 1), style: `fill:${colour}` }); // and more
    // together: how long at least one has waited, also where no more are sent
    if (waited > LATE_S) draw(svg, "rect", { x: x(probe.sent), y: bottom - 5, width: x(end) - x(probe.sent), height: 5, style: `fill:${colour}` });
    if (failed) draw(svg, "text", { x: x(probe.sent), y: bottom, "text-anchor": "middle", class: "loss" }, "✖");
  }
  draw(svg, "line", { x1: x(first), x2: x(now), y1: bottom, y2: bottom, style: "stroke:var(--line);stroke-width:2" });
}

const arrowhead = (x, y) => `${x - 5},${y + 4} ${x},${y - 5} ${x + 5},${y + 4}`;

function drawEvents(svg, rows, x, width, bottom) { // a line through all rows for what was pressed
  let free = width;
  for (let index = rows.length - 1; index > 0; index -= 1) {
    const [at, side] = rows[index];
    if (side.done === rows[index - 1][1].done) continue;
    draw(svg, "line", { x1: x(at), x2: x(at), y1: rowHeight() - 4, y2: bottom, class: "event" });
    const icon = state.about.actions.find((one) => one.name === side.did)?.icon ?? "";
    const half = 8 * icon.length + 4;
    const middle = Math.min(x(at), width - half);
    if (middle + half > free) continue; // the line alone, where the next one's icon is
    draw(svg, "text", { x: middle, y: rowHeight() - 6, "text-anchor": "middle" }, icon);
    free = middle - half;
  }
}

function drawLosses(svg, rows, x, width) { // those within one label's width together
  const marks = [];
  for (const [at, side] of rows) {
    const n = (side.lost ?? []).reduce((sum, one) => sum + one.n, 0);
    const last = marks.at(-1);
    if (n && last && x(at) - last.x < 70) last.n += n;
    else if (n) marks.push({ x: x(at), n });
  }
  for (const { x: left, n } of marks) draw(svg, "text", { x: Math.min(left + 4, width - 14 - 15 * String(n).length), y: 3 * rowHeight() - 8, class: "loss" }, `−${n}`);
}

function passing(side) {
  const places = side.workers.flatMap((worker) => [worker, ...worker.lanes]);
  return places.reduce((sum, one) => sum + one.n - staying(one), 0);
}

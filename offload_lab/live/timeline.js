"use strict";
// The last seconds of a side, in the grammar of the signature picture (plots/timeline.py).

const LATE_S = 0.2; // a bystander who waited longer is drawn as one who waited

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

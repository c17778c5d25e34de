// Small plots of the last hour, one line each, as SVG.

import { make } from "/static/elements.js";

const WIDTH = 240;
const HEIGHT = 56;
const HOUR = 3600;
// Without a worker nothing is noted: the line breaks off.
const GAP = 180;

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Parts of a line without gaps. */
function parts(points) {
  const found = [];
  points.forEach((point, place) => {
    if (!place || point.at - points[place - 1].at > GAP) found.push([]);
    found.at(-1).push(point);
  });
  return found;
}

/** A plot of one number of each point; `show` writes it for people. */
export function plot(title, points, name, now, show) {
  const values = points.map((point) => point[name]);
  const most = Math.max(...values, 0);
  const x = (point) => (WIDTH * Math.max(0, 1 - (now - point.at) / HOUR)).toFixed(1);
  const y = (point) => (HEIGHT - 2 - (most && (HEIGHT - 6) * point[name] / most)).toFixed(1);
  const lines = parts(points).flatMap((part) => {
    const line = part.map((point) => `${x(point)},${y(point)}`).join(" ");
    const ground = `${x(part[0])},${HEIGHT} ${line} ${x(part.at(-1))},${HEIGHT}`;
    return [svg("polygon", { points: ground, class: "ground" }), svg("polyline", { points: line, class: "line" })];
  });
  const latest = values.length ? show(values.at(-1)) : "–";
  const about = `${title}: ${latest} now, ${show(most)} at most in the last hour`;
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": about };
  const caption = make("figcaption", "", make("span", "", title), make("strong", "", latest), make("span", "faint", `most ${show(most)}`));
  return make("figure", "", caption, svg("svg", box, ...lines));
}

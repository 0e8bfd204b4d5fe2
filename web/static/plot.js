// Lines over time, drawn by hand: one figure with its drawing, what is under the pointer in words, and a table behind it.
import { fill, h } from "./dom.js";
import { moment } from "./figures.js";
import { s } from "./svg.js";

const HEIGHT = 190;
const EDGE = { left: 46, right: 10, top: 10, bottom: 24 };
const TICK_ROOM = 84; // pixels for a label of the time axis
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HOUR = 3_600_000;

/** Days are those of UTC, hours are told in the time of this computer. */
const timeOf = (time, step) => (step === HOUR ? moment(time) : new Date(time).toISOString().slice(0, 10));

function tick(time, step) {
  const at = new Date(time);
  if (step !== HOUR) return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  return at.getHours() === 0 ? `${at.getDate()} ${MONTHS[at.getMonth()]}` : `${String(at.getHours()).padStart(2, "0")}:00`;
}

/** The smallest of 1, 2, 2.5, 5 and their tens that makes at most four steps up to `highest`. */
function niceStep(highest, whole) {
  const least = highest / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= least * 0.999);
  return whole ? Math.max(1, Math.ceil(step)) : step;
}

/**
 * `times` are beginnings of steps of `step` milliseconds; `series` are `{name, values, details}` with a value, or null, for each;
 * `marks` are `{since, until}`. `show` writes a value. Gives back a figure that draws itself as wide as its place is.
 */
export function plot({ title, hint = "", times, step, series, show, marks = [], whole = false }) {
  const canvas = h("div.plot-canvas");
  const readout = h("p.plot-readout.muted.small", {}, hint);
  const known = series.flatMap((each) => each.values).filter((value) => value !== null);
  const figure = h("figure.card.plot", {}, h("figcaption", {}, h("h2", {}, title)), series.length > 1 && legend(series), canvas, readout);
  if (known.length === 0) {
    fill(canvas, h("p.plot-nothing.muted.small", {}, "Nothing to measure in this time."));
    readout.hidden = true;
    return figure;
  }
  figure.append(table(title, { times, step, series, show }));
  const label = `${title}. ${series.map((each) => summary(each, show)).join(" ")} The table below has every figure.`;
  const tell = (at) => (readout.textContent = at === null ? hint : `${timeOf(times[at], step)}: ${series.map((each) => told(each, at, show)).join(" · ")}`);
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    fill(canvas, drawing({ label, times, step, series, show, marks, whole, width, tell }));
  }).observe(canvas);
  return figure;
}

const told = (each, at, show) => `${each.name} ${each.values[at] === null ? "–" : show(each.values[at])}${each.details?.[at] ? ` (${each.details[at]})` : ""}`;

function summary({ name, values }, show) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${name}: nothing.`;
  return `${name}: ${show(known.at(-1))} at the end, between ${show(Math.min(...known))} and ${show(Math.max(...known))}.`;
}

function legend(series) {
  const swatch = (at) => s("svg", { class: "swatch", width: 26, height: 8, "aria-hidden": "true" }, s("path", { class: `line line-${at + 1}`, d: "M1 4h24" }));
  return h("ul.legend", {}, series.map((each, at) => h("li", {}, swatch(at), each.name)));
}

function drawing({ label, times, step, series, show, marks, whole, width, tell }) {
  const highest = Math.max(...series.flatMap((each) => each.values).filter((value) => value !== null));
  const gap = niceStep(highest, whole);
  const top = Math.max(gap, Math.ceil(highest / gap - 0.001) * gap);
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const from = times[0];
  const span = times.at(-1) + step - from;
  const x = (time) => EDGE.left + (Math.min(Math.max(time - from, 0), span) / span) * inner.width;
  const middle = (at) => x(times[at] + step / 2);
  const y = (value) => EDGE.top + inner.height * (1 - value / top);

  const levels = Array.from({ length: Math.round(top / gap) + 1 }, (_, at) => at * gap);
  const every = Math.ceil(times.length / Math.max(2, Math.floor(inner.width / TICK_ROOM)));
  const unit = step === HOUR ? [1, 2, 3, 6, 12, 24, 48, 96, 168].find((hours) => hours >= every) ?? 168 : every;
  const onTick = (time, at) => (step === HOUR ? Math.floor((time - new Date(time).getTimezoneOffset() * 60_000) / HOUR) % unit === 0 : (times.length - 1 - at) % unit === 0);
  const ticks = times.map((time, at) => ({ time, at })).filter(({ time, at }) => onTick(time, at) && middle(at) < width - EDGE.right - 16);

  const guide = s("line", { class: "guide", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  const picture = s(
    "svg",
    { class: "drawing", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
    marks.map(({ since, until }) => x(until) > x(since) && s("rect", { class: "drifting", x: x(since), y: EDGE.top, width: x(until) - x(since), height: inner.height })),
    levels.map((level) => [s("line", { class: "level", x1: EDGE.left, x2: width - EDGE.right, y1: y(level), y2: y(level) }), s("text", { class: "axis end", x: EDGE.left - 7, y: y(level) + 4 }, show(level))]),
    ticks.map(({ time, at }) => s("text", { class: "axis middle", x: Math.max(middle(at), EDGE.left + 8), y: HEIGHT - 7 }, tick(time, step))),
    guide,
    series.map((each, at) => line(each.values, at, middle, y)),
  );
  const leave = () => {
    guide.setAttribute("visibility", "hidden");
    tell(null);
  };
  picture.addEventListener("pointermove", (event) => {
    const along = event.clientX - picture.getBoundingClientRect().left - EDGE.left;
    const at = Math.floor((along / inner.width) * times.length);
    if (at < 0 || at >= times.length) return leave();
    for (const end of ["x1", "x2"]) guide.setAttribute(end, middle(at));
    guide.setAttribute("visibility", "visible");
    return tell(at);
  });
  picture.addEventListener("pointerleave", leave);
  return picture;
}

/** A line with gaps where nothing is known; a value between two gaps is a dot. */
function line(values, at, x, y) {
  let path = "";
  const dots = [];
  values.forEach((value, place) => {
    if (value === null) return;
    const alone = (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null;
    const begins = (values[place - 1] ?? null) === null;
    path += `${begins ? "M" : "L"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
    if (alone) dots.push(s("circle", { class: `dot dot-${at + 1}`, cx: x(place).toFixed(1), cy: y(value).toFixed(1), r: 2.5 }));
  });
  return [s("path", { class: `line line-${at + 1}`, d: path || "M0 0" }), dots];
}

/** Made when it is opened: most are not. */
function table(title, { times, step, series, show }) {
  const place = h("div.table-wrap.plot-table", { tabindex: "0", role: "region", "aria-label": `${title}, as a table` });
  const row = (time, at) => {
    if (series.every((each) => each.values[at] === null || (each.values[at] === 0 && !each.details))) return null;
    return h("tr", {}, h("th.nowrap", { scope: "row" }, timeOf(time, step)), series.map((each) => h("td.number", {}, each.values[at] === null ? "–" : show(each.values[at]), each.details?.[at] && h("span.muted", {}, ` (${each.details[at]})`))));
  };
  const details = h("details", {}, h("summary", {}, "As a table"), place);
  details.addEventListener("toggle", () => {
    if (!details.open || place.firstChild) return;
    const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, step === HOUR ? "Hour" : "Day (UTC)"), series.map((each) => h("th.number", { scope: "col" }, each.name))));
    fill(place, h("table.table", {}, h("caption.visually-hidden", {}, title), head, h("tbody", {}, times.map(row).reverse())));
  });
  return details;
}

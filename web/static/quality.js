// How the box answers: plots of its figures and what has drifted. Each look is audited, so it is refreshed by hand.
import { api } from "./api.js";
import { byId, fail, fill, h } from "./dom.js";
import { moment } from "./figures.js";
import { plot } from "./plot.js";
import { tradeOff } from "./silence.js";
import { showVoices } from "./voices.js";

const DAY = 86_400_000; // the day that was compared lies before the moment of the alert
const range = byId("range");
const count = (value) => value.toLocaleString("en");
const percent = (value) => `${Math.round(value * 1000) / 10}%`;
const score = (value) => value.toFixed(1);
const time = (value) => (value < 10_000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value / 1000)} s`);

const counted = (name, field) => ({ name, of: (each) => each?.[field] ?? 0 });
/** A share with how many it was made of; none where that is none. */
const share = (name, part, ...others) => {
  const whole = (each) => others.reduce((sum, field) => sum + each[field], each[part]);
  return {
    name,
    of: (each) => (each && whole(each) > 0 ? each[part] / whole(each) : null),
    detail: (each) => each && whole(each) > 0 && `${count(each[part])} of ${count(whole(each))}`,
  };
};
const quantiles = (field) => [
  { name: "median", of: (each) => each?.[field].median ?? null },
  { name: "95 of 100 below", of: (each) => each?.[field].p95 ?? null },
];

const PLOTS = [
  { title: "Questions and answers", show: count, whole: true, series: [counted("asked", "questions"), counted("answered", "answered"), counted("not in the documents", "abstained"), counted("failed", "failed"), counted("stopped", "stopped")] },
  { measure: "abstentions", title: "Answers that say the documents do not contain the answer", show: percent, series: [share("of the finished answers", "abstained", "answered")] },
  { measure: "search_score", title: "Score of the best passage found", show: score, series: quantiles("search_score") },
  { measure: "first_word", title: "Time to the first word", show: time, series: quantiles("first_word") },
  { measure: "whole_time", title: "Time to the end of the answer", show: time, series: quantiles("whole_time") },
  { measure: "negative_feedback", title: "Judged not helpful", show: percent, series: [share("of the judgements", "unhelpful", "helpful")] },
  { measure: "withheld_sentences", title: "Sentences withheld because nothing supports them", show: percent, series: [share("of the sentences", "withheld", "supported")] },
  { measure: "failures", title: "Answers that failed", show: percent, series: [share("of all answers", "failed", "answered", "abstained", "stopped")] },
];

function drawn({ measure, title, show, whole, series }, found, times) {
  const at = new Map(found.figures.map((each) => [each.start_ms, each]));
  const filled = series.map(({ name, of, detail }) => ({
    name,
    values: times.map((start) => of(at.get(start))),
    details: detail && times.map((start) => detail(at.get(start))),
  }));
  const drifts = found.alerts.filter((alert) => alert.measure === measure);
  const figure = plot({
    title,
    times,
    step: found.step_ms,
    show,
    whole,
    series: filled,
    hint: drifts.length > 0 ? "Shaded: what was unlike the 14 days before." : "",
    marks: drifts.map((alert) => ({ since: alert.begun_ms - DAY, until: alert.ended_ms ?? found.until_ms })),
  });
  if (measure) figure.dataset.measure = measure;
  return figure;
}

function alertsOf(found) {
  const lasting = found.alerts.filter((alert) => alert.ended_ms === null);
  const over = found.alerts.filter((alert) => alert.ended_ms !== null).reverse();
  const asked = found.figures.some((each) => each.questions > 0);
  return [
    lasting.map((alert) => h("p.notice.warn", { "data-drift": alert.measure }, alert.sentence, h("span.small", {}, ` Noticed ${moment(alert.begun_ms)}.`))),
    lasting.length === 0 && h("p.notice", { class: asked ? "good" : "info" }, asked ? "Nothing has drifted: the last day is like the 14 days before it, as far as there is enough to compare." : "Nothing was asked in the hours of this time that are counted; an hour is once it has ended."),
    over.length > 0 &&
      h("details.earlier", {}, h("summary", {}, "What had drifted, and is over"), h("ul", {}, over.map((alert) => h("li", {}, `${moment(alert.begun_ms)} to ${moment(alert.ended_ms)}: ${alert.sentence}`)))),
  ];
}

async function load() {
  const [by, days] = range.value.split(" ");
  const found = await api.get(`/api/quality?${new URLSearchParams({ by, days })}`);
  const length = Math.round((found.until_ms - found.since_ms) / found.step_ms + 0.499);
  const times = Array.from({ length }, (_, at) => found.since_ms + at * found.step_ms);
  byId("as-of").textContent = `Up to ${moment(found.until_ms)}. The hour that runs is added when it is over${by === "day" ? "; days are those of UTC" : ""}.`;
  fill(byId("alerts"), alertsOf(found));
  fill(byId("trade-off"), tradeOff(found.threshold, found.measured));
  fill(byId("plots"), PLOTS.map((each) => drawn(each, found, times)));
}

range.addEventListener("change", () => load().catch(fail));
load().catch(fail);
showVoices().catch(fail);

// What came of one run, question by question, beside the run that it is compared with.
import { api } from "./api.js";
import { fail, fill, h, toast } from "./dom.js";
import { inWork, verdict } from "./evaluation_set.js";
import { moment } from "./figures.js";
import { tradeOff } from "./silence.js";

const percent = (value) => `${Math.round(value * 1000) / 10} %`;
const plain = (value) => value.toFixed(2);
const FIGURES = [
  ["Right answers", (found) => found.right / found.questions, percent],
  ["Holds the expected answer", (found) => found.answers.contains_answer, percent],
  ["Word overlap (F1)", (found) => found.answers.f1, plain],
  ["Citations that support", (found) => found.answers.citation_precision, percent],
  ["Questions so cited", (found) => found.answers.citation_recall, percent],
  ["Sentences with a source", (found) => found.answers.grounded_sentences, percent],
  ["Silent where it should be", (found) => (found.answers.impossible ? found.answers.abstention_recall : undefined), percent],
  ["Silent where it should not", (found) => found.answers.false_abstention, percent],
  ["Found first", (found) => found.retrieval.hit_at_1, percent],
  ["Found in the first 5", (found) => found.retrieval.hit_at_5, percent],
  ["Found in the first 10", (found) => found.retrieval.hit_at_10, percent],
  ["Mean reciprocal rank", (found) => found.retrieval.mrr, plain],
  ["Time for an answer", (found) => found.answers.seconds_per_answer, (value) => `${value.toFixed(1)} s`],
];

function figure([title, of, show], now, before) {
  const value = of(now);
  if (value === undefined) return null;
  const was = before && of(before);
  const differs = was !== undefined && was !== null && show(was) !== show(value);
  return h("div.golden-figure", {}, h("dt", {}, title), h("dd", {}, show(value), differs && h("span.golden-before", {}, `before: ${show(was)}`)));
}

function standing(outcome) {
  if (outcome.before === null) return outcome.right ? h("span.badge.ok", {}, "right") : h("span.badge", {}, "wrong");
  if (outcome.before && !outcome.right) return h("span.badge.bad", {}, "got worse");
  if (!outcome.before && outcome.right) return h("span.badge.ok", {}, "got better");
  return outcome.right ? h("span.badge.ok", {}, "right") : h("span.badge", {}, "wrong, as before");
}

const order = (outcome) => (outcome.before && !outcome.right ? 0 : outcome.right ? 2 : 1);

function line(outcome) {
  const kind = outcome.before === true && !outcome.right ? "golden-worse" : outcome.before === false && outcome.right ? "golden-better" : "";
  return h(
    "tr",
    { class: kind, "data-outcome": outcome.question_id },
    h("td", { "data-label": "Question" }, h("div", {}, outcome.text, h("p.golden-answer", {}, outcome.failed ? outcome.reason : outcome.answer))),
    h("td", { "data-label": "Verdict" }, standing(outcome)),
    h("td.number", { "data-label": "Found at" }, outcome.rank ?? "–"),
    h("td.number", { "data-label": "Sources" }, outcome.citations > 0 ? `${outcome.supported} of ${outcome.citations}` : "–"),
    h("td.number", { "data-label": "Time" }, `${outcome.seconds.toFixed(1)} s`),
  );
}

async function accept(run) {
  await api.post(`/api/golden/runs/${run.id}/accept`);
  toast("Later runs are compared with this one.");
  document.dispatchEvent(new Event("golden-changed"));
}

/** Nothing for runs from before it was kept, and for sets in which nothing, or everything, is to be met with silence. */
function silenceOf({ answers, questions, silence }) {
  if (!silence || !answers.impossible || answers.impossible === questions) return null;
  const by = (kind) => Object.fromEntries(Object.entries(silence.trade_off).map(([at, shares]) => [at, shares[kind]]));
  const row = { questions: `${answers.impossible} to be met with silence, ${questions - answers.impossible} not`, right: by("right"), false: by("false") };
  return h("section.golden-section.card", {}, tradeOff(silence.threshold, [row]));
}

const TITLES = { language: "Language models", embedding: "Embedder", answered_by: "Answered by" };

function conditions(run) {
  const found = run.conditions;
  return h(
    "details",
    {},
    h("summary", {}, "Under which conditions"),
    h(
      "dl.pairs",
      {},
      Object.entries(TITLES).map(([key, title]) => found[key]?.length > 0 && [h("dt", {}, title), h("dd", {}, found[key].join(", "))]),
      Object.entries(found.settings ?? {}).map(([key, value]) => [h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, String(value))]),
      Object.entries(found.silence ?? {}).map(([key, value]) => [h("dt", {}, `silence: ${key.replaceAll("_", " ")}`), h("dd", {}, String(value))]),
      h("dt", {}, "Digest of all this"),
      h("dd", {}, h("code.digest", {}, run.conditions_sha256)),
    ),
  );
}

/** Fills `place`; whether the run is in the works. */
export async function showResult(place, id) {
  const { run, baseline, compared, allowed, outcomes } = await api.get(`/api/golden/runs/${id}`);
  const whole = run.status === "DONE";
  fill(
    place,
    h("a.golden-back", { href: `#set=${run.set_id}` }, "← The golden set"),
    h("div.golden-head", {}, h("h2", {}, `Run of ${moment(run.created_ms)}`), h("span", {}, verdict(run))),
    run.reason && run.status !== "FAILED" && h("p.notice.warn", {}, run.reason),
    run.regressed && h("p.notice.error", {}, `${run.worse} got worse and ${run.better} better, of ${compared} questions; ${allowed} more may be wrong than before.`),
    baseline && h("p.muted.small", {}, "Compared with ", h("a", { href: `#run=${baseline.id}` }, `the run of ${moment(baseline.created_ms)}`), ". ", run.conditions_sha256 !== baseline.conditions_sha256 && "Models or settings were others then."),
    whole && h("dl.golden-figures", {}, FIGURES.map((item) => figure(item, run.figures, baseline?.figures))),
    whole && !run.accepted && h("div.golden-bar", {}, h("button.button.small", { type: "button", onclick: () => accept(run).catch(fail) }, "Compare later runs with this one")),
    outcomes.length > 0 &&
      h(
        "div.table-wrap",
        {},
        h(
          "table.table.stacking",
          {},
          h("caption.visually-hidden", {}, "Questions and answers"),
          h("thead", {}, h("tr", {}, ["Question and answer", "Verdict", "Found at", "Sources", "Time"].map((head, column) => h("th", { scope: "col", class: column > 1 ? "number" : "" }, head)))),
          h("tbody", {}, [...outcomes].sort((a, b) => order(a) - order(b)).map(line)),
        ),
      ),
    whole && silenceOf(run.figures),
    whole && h("section.golden-section.card", {}, conditions(run)),
  );
  return inWork(run);
}

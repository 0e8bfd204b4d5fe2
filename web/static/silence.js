// What a threshold of silence trades: how often it is silent where the documents are, and how often where they speak.
import { h } from "./dom.js";

const percent = (value) => (value === undefined ? "–" : `${Math.round(value * 100)} %`);
const near = (one, other) => Math.abs(Number(one) - other) < 0.001;

/** A table with a row for each set of questions; `rows` have `questions`, `right` and `false`, both by threshold. */
export function tradeOff(threshold, rows) {
  const thresholds = [...new Set(rows.flatMap(({ right }) => Object.keys(right)))].sort((one, other) => one - other);
  const cell = (row, at) =>
    h("td.number", { "data-label": at, class: near(at, threshold) ? "in-force" : "" }, h("span", {}, percent(row.right[at]), h("span.muted", {}, ` / ${percent(row.false[at])}`)));
  return h(
    "div.table-wrap",
    {},
    h(
      "table.table.stacking.trade-off",
      {},
      h("caption", {}, `Silent where it should be / where it should not, by threshold. In force: ${threshold}.`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Questions"), thresholds.map((at) => h("th.number", { scope: "col", class: near(at, threshold) ? "in-force" : "" }, at)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.questions), thresholds.map((at) => cell(row, at))))),
    ),
  );
}

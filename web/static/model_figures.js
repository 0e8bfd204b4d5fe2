// What was measured of a model on this machine: figures with their names and units, and the table of its variants.
import { h } from "./dom.js";

// name in the table of variants, and the unit where a figure stands alone
const MEASURED = {
  prefill_tokens_per_s: ["Reads", "word pieces a second"],
  decode_tokens_per_s: ["Writes", "word pieces a second"],
  tokens_per_s: ["Reads", "word pieces a second"],
  cosine_to_float32: ["Exactness", "(1 is exact)"],
  dimensions: ["Dimensions", ""],
  four_at_once: ["Four at once", "times as fast as one after another"],
  memory_mb: ["Memory taken", "MB"],
  quality: ["Right answers", ""],
};
const RUNTIMES = { llamacpp: "llama.cpp", genai: "ONNX Runtime GenAI" };
const BADGES = { kept: "ok", failed: "bad" };
// how many questions stand behind a share of right answers is part of that figure, and no figure of its own
const WORDS = ["questions", "format", "context_tokens", "runtime", "version", "outcome", "reason"];

export const figure = (value) => (Number.isFinite(value) ? value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 }) : String(value));
const percent = (value) => `${Math.round(value * 100)} %`;
export const label = (name) => MEASURED[name]?.[0] ?? name.replaceAll("_", " ");
export const figures = (measured) => Object.keys(measured).filter((name) => !WORDS.includes(name));
const short = (name, measured) => (name !== "quality" ? figure(measured[name]) : percent(measured.quality) + (measured.questions ? ` of ${measured.questions}` : ""));
export const long = (name, measured) => (name === "quality" && measured.questions ? `${short(name, measured)} questions` : `${short(name, measured)} ${MEASURED[name]?.[1] ?? ""}`.trim());

const heading = (text, kind = "") => h("th", { scope: "col", class: kind }, text);

const verdict = (trial) => trial.outcome && h("span.badge", { class: BADGES[trial.outcome] ?? "" }, trial.outcome);

const variant = (trial) =>
  h("th.variant", { scope: "row" }, trial.format, " ", verdict(trial), trial.runtime && h("span.muted", {}, [RUNTIMES[trial.runtime] ?? trial.runtime, trial.version].filter(Boolean).join(", ")));

const reason = (trial, width) => trial.reason && h("tr.why", {}, h("td.muted", { colspan: width }, h("span", {}, trial.reason)));

/** Every variant that was tried, with what became of it; null where there is no such table. */
export function variants(trials) {
  if (trials.length === 0) return null;
  const columns = [...new Set(trials.flatMap(figures))].sort((one, other) => Object.keys(MEASURED).indexOf(one) - Object.keys(MEASURED).indexOf(other));
  const row = (trial) => h("tr", { class: trial.reason ? "told" : "" }, variant(trial), columns.map((name) => h("td.number", {}, trial[name] === undefined ? "" : short(name, trial))));
  return h(
    "div.trials",
    { tabindex: "0", role: "region", "aria-label": "Variants that were measured" },
    h(
      "table.table",
      {},
      h("caption.visually-hidden", {}, "Variants that were measured"),
      h("thead", {}, h("tr", {}, heading("Variant"), columns.map((name) => heading(label(name), "number")))),
      h("tbody", {}, trials.map((trial) => [row(trial), reason(trial, columns.length + 1)])),
    ),
  );
}

// Which model would answer what on this box, and what it computes with. Below the list of models.
import { api } from "./api.js";
import { byId, fail, fill, h, pair, size } from "./dom.js";
import { plural } from "./figures.js";

const MB = 1_000_000;
const SEALS = { none: "none: its programs could reach the network", filter: "by a filter of system calls", namespace: "complete: there is no network to reach" };
const driver = ({ library }) => (library && library !== "cpu" ? `, driven by ${library}` : "");
const place = (candidate) => (candidate.destination ? `at ${candidate.destination}` : candidate.device ? `on ${candidate.device}${driver(candidate)}` : "");
const named = (candidate) => [h("strong", {}, candidate.model), ` through ${candidate.runtime} ${place(candidate)}`.trimEnd()];

function decision({ classification, winner, refusal, others, instead_of }) {
  return h(
    "article.card.decision",
    { "data-classification": classification },
    h("h3", {}, classification, " ", h("span.badge", { class: winner ? "ok" : "bad" }, winner ? "is answered" : "is refused")),
    h("p", {}, winner ? named(winner) : refusal),
    winner && h("p.muted.small", {}, winner.sentence),
    instead_of.map((one) => h("p.notice.warn", { "data-instead-of": one.model }, "Instead of ", named(one), ": ", one.sentence)),
    winner && winner.passed_over.length > 0 && h("ul.reasons", {}, winner.passed_over.map((one) => h("li", { "data-reason": one.reason }, "Not on ", one.sentence))),
    others.length > 0 &&
      h(
        "details",
        { open: !winner },
        h("summary", {}, winner ? plural(others.length, "other") : `Why not ${others.length === 1 ? "the one model" : `any of ${others.length}`}`),
        h("ul.reasons", {}, others.map((other) => h("li", { "data-reason": other.reason }, named(other), ": ", other.sentence))),
      ),
  );
}

function memoryOf(device) {
  if (device.shares_memory) return "shares the box's memory";
  return device.memory_total_mb ? `${size(device.memory_total_mb * MB)}, ${size(device.memory_free_mb * MB)} free` : "memory unknown";
}

function box(found, seal) {
  const quota = found.cpu_quota === null ? "" : `, a quota of ${found.cpu_quota.toLocaleString("en")}`;
  const limit = found.memory_limit_mb === null ? "" : `, limited to ${size(found.memory_limit_mb * MB)}`;
  return [
    pair("Processor", `${found.processor || "unknown"} (${found.architecture})`),
    found.features.length > 0 && pair("Instruction sets", found.features.join(" ")),
    pair("Cores", `${found.cores}${quota}`),
    pair("Memory", found.memory_total_mb ? `${size(found.memory_total_mb * MB)}, ${size(found.memory_available_mb * MB)} free${limit}` : "unknown"),
    found.accelerators.length > 0 ? found.accelerators.map((device) => pair(device.device, `${device.name}, ${memoryOf(device)}`)) : pair("Beside it", "no graphics or neural processor was found"),
    found.providers.length > 0 && pair("ONNX Runtime", found.providers.join(" ")),
    pair("Seal", SEALS[seal] ?? seal),
    found.remarks.map((remark) => pair("Unknown", remark)),
  ];
}

function loadedNow(one) {
  const [kind, word] = !one.ready ? ["bad", "does not answer"] : one.differs ? ["work", "not as expected"] : ["ok", "loaded"];
  return h(
    "li.card",
    { "data-loaded": one.model, "data-used": one.used },
    h("p", {}, named(one), " ", h("span.badge", { class: kind }, word)),
    one.sentence && h("p.muted.small", {}, one.sentence),
    one.running + one.waiting > 0 && h("p.muted.small", {}, `${plural(one.running, "answer")} being written, ${one.waiting} waiting`),
  );
}

async function load() {
  const routing = await api.get("/api/models/routing");
  fill(byId("loaded"), routing.loaded.length > 0 ? routing.loaded.map(loadedNow) : h("li.muted", {}, "Nothing is loaded: no process that answers has said so yet."));
  fill(byId("decisions"), routing.decisions.map(decision));
  fill(byId("hardware"), box(routing.hardware, routing.seal));
}

const show = () => load().catch(fail);
document.addEventListener("models-changed", show);
show();

// The state of the box, for administrators. Each look is audited, so it is refreshed by hand.
import { api } from "./api.js";
import { byId, fill, h, pair, size, toast } from "./dom.js";
import { duration, moment, plural } from "./figures.js";
import { changeDays, span } from "./retention.js";
import { showSeal } from "./seal.js";

const WORDS = { PENDING: "waiting", PARSING: "being read", EMBEDDING: "being indexed", READY: "ready", FAILED: "failed", ANSWERING: "being written", DONE: "done", STOPPED: "stopped" };
const QUEUES = { answers: "waiting answers", ingest: "waiting documents", maintenance: "waiting upkeep" };
const counts = (byStatus, noun) => Object.entries(byStatus).map(([status, count]) => pair(`${noun} ${WORDS[status] ?? status.toLowerCase()}`, count));

function processLine(each) {
  return h(
    "tr",
    { "data-process": each.name },
    h("td", {}, h("strong", {}, each.name), each.pid && h("span.muted.small", {}, ` pid ${each.pid}`)),
    h("td", { "data-label": "State" }, h("span.badge", { class: each.state === "running" ? "ok" : "bad" }, each.state)),
    h("td.number", { "data-label": "Memory" }, each.memory_bytes === null ? "–" : size(each.memory_bytes)),
    h("td.number", { "data-label": "Restarts" }, String(each.restarts)),
    h("td.number", { "data-label": "Running for" }, each.uptime_s === null ? "–" : duration(each.uptime_s)),
  );
}

async function load() {
  const box = await api.get("/api/box");
  byId("as-of").textContent = `as of ${moment(box.time_ms, true)}`;
  byId("problem").textContent = box.problem ?? "";
  byId("problem").hidden = !box.problem;
  fill(byId("drifts"), box.drifts.map((alert) => h("p.notice.warn", {}, alert.sentence, " ", h("a", { href: "/admin/quality" }, "See Quality"))));
  byId("processes-table").hidden = box.processes.length === 0;
  const memory = box.processes.reduce((sum, each) => sum + (each.memory_bytes ?? 0), 0);
  byId("memory").textContent = `${size(memory)} of memory in all`;
  fill(byId("processes"), box.processes.map(processLine));
  fill(byId("work"), Object.entries(box.queues).map(([name, length]) => pair(QUEUES[name] ?? `queue ${name}`, length === null ? "unknown" : length)), counts(box.documents, "documents"), counts(box.messages, "answers"));
  const used = box.disk.total - box.disk.free;
  fill(byId("disk-bar"), h("progress", { max: box.disk.total, value: used, "aria-label": "Disk in use" }));
  fill(byId("disk"), pair("free space", `${size(box.disk.free)} of ${size(box.disk.total)}`), pair("database", size(box.disk.database)), pair("uploaded files", size(box.disk.blobs)), pair("models", size(box.disk.models)));
  fill(byId("holdings"), pair("people", box.people), pair("collections", box.collections), pair("passages in the index", box.chunks), pair("audit entries", box.audit_events));
  fill(byId("versions"), Object.entries(box.versions).map(([name, version]) => pair(name, version)));
  byId("refresh").setAttribute("aria-label", `Refresh; ${plural(box.processes.length, "process", "processes")} shown`);
}

let stay = null; // the number as it is

async function showStay() {
  stay = await api.get("/api/retention");
  const { days, days_before: before, effective_ms: effective, doubtful } = stay;
  const removed = (number) => (number === null ? "Conversations stay until their people delete them." : `Conversations are removed ${span(number)} after their last message, those of people whom an officer holds excepted.`);
  const waits = effective > Date.now() ? ` From ${moment(effective)} on: ${span(days)}.` : "";
  byId("stay").textContent = removed(waits ? before : days) + waits;
  byId("stay-doubtful").hidden = !doubtful;
  byId("stay-change").disabled = false;
}

const changeStay = () => changeDays("How long conversations stay", { path: "/api/retention", noun: "conversation", since: "their last message", days: stay.days }).then(showStay);
byId("stay-change").addEventListener("click", () => changeStay().catch((error) => toast(error.message, "error")));

const refresh = () => Promise.all([load(), showStay(), showSeal(byId("seal"))]).catch((error) => toast(error.message, "error"));
byId("refresh").addEventListener("click", refresh);
refresh();

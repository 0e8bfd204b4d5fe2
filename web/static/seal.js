// What keeps data on this box, process by process, and what has left it: a part of two pages. Each look is audited.
import { api } from "./api.js";
import { fill, h, pair, size } from "./dom.js";
import { moment, plural } from "./figures.js";

const LAYERS = {
  namespace: "no network",
  unreachable: "nothing outside reachable",
  services: "host services hidden",
  families: "UNIX sockets only",
  files: "own files only",
  privileges: "no privileges",
  core: "no core dumps",
  ports: "ports of named machines only",
};
const OPEN = {
  namespace: "shares the network of the machine",
  unreachable: "can reach other machines",
  services: "sees services of the machine",
  families: "can open internet sockets",
  files: "can open every file of its account",
  privileges: "has privileges, or can gain them",
  core: "may leave memory dumps",
  ports: "can reach every port",
};
const figure = (value, show = String) => (value === null ? "cannot be read" : show(value));

function line(process) {
  if (process.outside) return outside(process);
  const missing = process.layers.filter((layer) => !layer.held);
  const because = process.reason ? ` (${process.reason})` : "";
  return h(
    "tr",
    { "data-sealed": process.name },
    h("td", {}, h("strong", {}, process.name)),
    h(
      "td",
      {},
      h("div.layers", {}, process.layers.map((layer) => h("span.badge", { class: layer.held ? "ok" : "bad", title: layer.detail }, (layer.held ? LAYERS : OPEN)[layer.name] ?? layer.name))),
      missing.length > 0 && h("p.muted.small", {}, `${missing.map((layer) => layer.detail).join("; ")}${because}.`),
    ),
  );
}

// Layers that it cannot have are no gaps, and are not shown as if they were.
const badge = (layer) => h("span.badge", { class: layer.held ? "ok" : "bad", title: layer.detail }, layer.name === "families" && layer.held ? "UNIX and IP sockets only" : ((layer.held ? LAYERS : OPEN)[layer.name] ?? layer.name));

function outside(process) {
  const shown = process.layers.filter((layer) => layer.held || !["namespace", "unreachable", "services"].includes(layer.name));
  return h(
    "tr",
    { "data-sealed": process.name },
    h("td", {}, h("strong", {}, process.name)),
    h("td", {}, h("div.layers", {}, shown.map(badge)), h("p.muted.small", {}, `Not sealed: ${process.reason}. It can open neither keys nor documents.`)),
  );
}

function sealed(seal) {
  const count = seal.processes.filter((process) => !process.outside).length;
  return count === seal.processes.length ? `All ${count} processes are` : `All ${count} processes that hold keys or documents are`;
}

const SUPERVISOR = "The supervisor, which starts them, stays outside: it knocks at the front door from there, makes no other connection and reads no document.";

function verdict(seal) {
  if (seal.gate && (seal.gate.unrecorded > 0 || seal.gate.strangers > 0)) return h("p.notice.warn", {}, `The gate counted ${plural(seal.gate.unrecorded, "act")} that the audit log does not have, and ${plural(seal.gate.strangers, "attempt")} of another account.`);
  if (seal.processes.length === 0) return h("p.notice.warn", {}, "No process has said what keeps it from the network: it may be able to reach other machines.");
  if (seal.gaps.length === 0) return h("p.notice.good", {}, `${sealed(seal)} sealed: none of them has a network, and the kernel refuses them the means to reach one. ${SUPERVISOR}`);
  return h("p.notice.warn", {}, `The seal has ${plural(seal.gaps.length, "gap")}: not every layer holds for every process. What is missing is marked below.`);
}

// The copy of the log on another machine: whoever reads the log here should know how far it is there.
function collected(collector) {
  const since = collector.failing_since_ms;
  return since === null ? collector.sentence : `${collector.sentence} This has been so since ${moment(since, true)}.`;
}

/** Ask anew and show it in `place`. */
export async function showSeal(place) {
  const seal = await api.get("/api/egress");
  fill(place, [
    verdict(seal),
    seal.collector?.troubled && h("p.notice.warn", { "data-collector": "troubled" }, `The copy of the audit log outside this box: ${collected(seal.collector)}`),
    seal.processes.length > 0 &&
      h(
        "div.table-wrap",
        {},
        h("table.table.stacking.seal", {}, h("caption.visually-hidden", {}, "Layers of the seal for each process"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Process"), h("th", { scope: "col" }, "Layers"))), h("tbody", {}, seal.processes.map(line))),
      ),
    h(
      "dl.pairs.meter",
      {},
      pair("machines the gate may call", figure(seal.destinations, (named) => named.join(", ") || "none: nothing may leave")),
      pair("copy of the audit log elsewhere", seal.collector ? seal.collector.sentence : "none: no collector is named"),
      seal.collector && pair("its collector took something last", seal.collector.sent_ms === null ? "never" : moment(seal.collector.sent_ms, true)),
      pair("network interfaces besides loopback", figure(seal.foreign, (names) => names.join(", ") || "none")),
      pair("bytes moved on them", figure(seal.foreign_bytes, size)),
      pair("internet sockets in use", figure(seal.sockets)),
      pair("calls that left through the gate, last hour", String(seal.calls)),
      pair("calls the gate refused, last hour", String(seal.refusals)),
      seal.gate && pair("calls and bytes out by the gate's own count", `${seal.gate.calls}, ${size(seal.gate.bytes_out)} since ${moment(seal.gate.since_ms, true)}`),
      pair("a gap keeps the box from starting", seal.required ? "yes" : "no (require_seal)"),
      pair("as of", moment(seal.time_ms, true)),
    ),
  ]);
}

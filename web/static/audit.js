// The compliance officer's page: filter, read, export.
import { answerRecord } from "./answer_record.js";
import { api } from "./api.js";
import { byId, confirmed, fill, h, pair, toast } from "./dom.js";
import { moment, plural, zone } from "./figures.js";
import { showHolds } from "./holds.js";
import { showSeal } from "./seal.js";
import { escaped } from "./visible.js";

const form = byId("filters");
const rows = byId("records");
const FIELDS = ["from", "until", "person", "event", "document", "outcome"];

let oldest = null; // seq of the last entry shown
let shown = 0;

const KEY_ID = /^[0-9a-f]{16}$/; // those of documents are longer
const MINUTE_MS = 60_000; // what the fields of time count in
const value = (name) => form.elements[name].value.trim();

// The filter as the routes take it: times in milliseconds UTC, empty fields left out. The minute of "until" is part of it.
function query() {
  const wanted = new URLSearchParams();
  if (value("from")) wanted.set("since_ms", new Date(value("from")).getTime());
  if (value("until")) wanted.set("until_ms", new Date(value("until")).getTime() + MINUTE_MS);
  for (const name of ["person", "event", "outcome"]) if (value(name)) wanted.set(name, value(name));
  if (value("document")) wanted.set(KEY_ID.test(value("document")) ? "key_id" : "document_id", value("document"));
  return wanted;
}

async function load(older = false) {
  const wanted = query();
  if (!older) {
    for (const format of ["bundle", "csv", "jsonl"]) byId(`export-${format}`).href = `/api/audit/export?${new URLSearchParams([...wanted, ["format", format]])}`;
    const address = new URLSearchParams(FIELDS.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value));
    history.replaceState(null, "", address.size ? `/audit?${address}` : "/audit");
    oldest = null;
    shown = 0;
  }
  if (older && oldest !== null) wanted.set("before_seq", oldest);
  const answer = await api.get(`/api/audit?${wanted}`);
  const added = answer.records.map(line).flat();
  if (older) rows.append(...added);
  else fill(rows, added);
  oldest = answer.records.at(-1)?.seq ?? oldest;
  shown += answer.records.length;
  byId("more").hidden = !answer.more;
  byId("records-table").hidden = shown === 0;
  byId("empty").hidden = shown > 0;
  byId("summary").textContent = `${plural(shown, "entry", "entries")} shown, newest first${answer.more ? "; there are older ones" : ""}`;
  if (older) added[0]?.querySelector("button")?.focus();
}

function line(record) {
  const inside = h("tr.audit-details", { id: `details-${record.seq}`, hidden: true });
  const toggle = h("button.expander", { type: "button", "aria-expanded": "false", "aria-controls": inside.id, "aria-label": `Details of entry ${record.seq}` }, String(record.seq));
  toggle.addEventListener("click", () => {
    const open = toggle.getAttribute("aria-expanded") === "true";
    toggle.setAttribute("aria-expanded", String(!open));
    if (!inside.firstChild) fill(inside, details(record));
    inside.hidden = open;
  });
  const words = wordsFor(record);
  const about = record.resources.map((resource, at) => reference(resource, words[at]));
  const { key_id: key } = JSON.parse(record.body).facts ?? {};
  return [
    h(
      "tr",
      { "data-seq": record.seq },
      h("td.number", { "data-label": "No." }, toggle),
      h("td.nowrap", { "data-label": "Time" }, h("time", { datetime: new Date(record.time_ms).toISOString() }, moment(record.time_ms, true), h("span.muted.small", {}, ` ${zone(record.time_ms)}`))),
      h("td", { "data-label": "Person" }, record.person, record.on_behalf_of && h("span.muted.small", {}, ` for ${record.on_behalf_of}`), key && [" ", reference({ kind: "key", id: key }, "key")]),
      h("td", { "data-label": "Event" }, h("code", {}, record.event)),
      h("td.audit-about", { "data-label": "About" }, about.length ? about : "–"),
      h("td", { "data-label": "Outcome" }, h("span.badge", { class: record.outcome === "success" ? "ok" : "bad" }, record.outcome)),
    ),
    inside,
  ];
}

// A message is a question or its answer; which one, the event and their order tell.
function wordsFor({ event, resources }) {
  const asked = event === "question.asked" ? ["question"] : [];
  const answers = event === "question.asked" || event === "stop.requested" || event.startsWith("answer.") || event.startsWith("feedback.");
  return resources.map(({ kind }) => (kind === "message" && answers ? (asked.shift() ?? "answer") : kind));
}

function reference({ kind, id }, word) {
  const short = id.length > 12 ? `${id.slice(0, 8)}…` : id;
  if (kind !== "document" && kind !== "key") return h("span.reference", { title: id }, `${word} ${short}`);
  const attributes = { type: "button", title: `Show only entries about ${word} ${id}` };
  const button = h("button.reference", attributes, `${word} ${short}`);
  button.addEventListener("click", () => {
    form.elements.document.value = id;
    refresh();
  });
  return button;
}

function details(record) {
  const { facts = {} } = JSON.parse(record.body);
  const words = wordsFor(record);
  return h(
    "td",
    { colspan: 6 },
    record.sealed_fields.length > 0 && [h("h3", {}, "Sealed values"), sealed(record)],
    h("h3", {}, "What was recorded"),
    h(
      "dl.pairs",
      {},
      record.resources.map(({ id }, at) => pair(words[at].replaceAll("_", " "), h("code.digest", {}, id))),
      Object.entries(facts).map(([name, value]) => pair(name.replaceAll("_", " "), value)),
      pair("leaf hash (SHA-256)", h("code.digest", { class: "leaf-hash" }, record.leaf_hash)),
    ),
    answerRecord(record),
    h("details", {}, h("summary", {}, "Canonical body, as it was hashed"), h("pre.canonical", { tabindex: 0 }, escaped(JSON.stringify(JSON.parse(record.body), null, 2)))),
  );
}

// What a person wrote or is called is disclosed one entry at a time, and each disclosure is recorded.
function sealed(record) {
  const place = h("div.disclosed", {});
  const names = record.sealed_fields.join(", ");
  const reveal = async () => {
    const detail = "You will see what a person wrote or is called. The disclosure is recorded in this log, with your name and this entry.";
    if (!(await confirmed(`Disclose ${names} of entry ${record.seq}?`, { detail, yes: "Disclose", danger: false }))) return;
    const values = await api.post(`/api/audit/${record.seq}/disclose`);
    fill(place, h("dl.pairs", {}, record.sealed_fields.map((name) => [h("dt", {}, name), h("dd", {}, values[name] ?? "not there any more")])));
  };
  const attributes = { type: "button", onclick: () => reveal().catch((error) => toast(error.message, "error")) };
  return fill(place, h("button.button.small", attributes, `Disclose ${names}`), h("span.hint", {}, " recorded as a disclosure"));
}

function checkTimes() {
  const turned = value("from") && value("until") && value("from") > value("until");
  form.elements.until.setCustomValidity(turned ? "“From” is later than “Until”, so nothing can match." : "");
}

function refresh() {
  checkTimes();
  if (form.reportValidity()) load().catch((error) => toast(error.message, "error"));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
form.addEventListener("input", checkTimes);
form.addEventListener("reset", () => setTimeout(refresh));
byId("more").addEventListener("click", () => load(true).catch((error) => toast(error.message, "error")));

for (const [name, value] of new URLSearchParams(location.search)) if (FIELDS.includes(name)) form.elements[name].value = value;
refresh();

// A new checkpoint proves that it continues the one the officer keeps.
const kept = byId("since");
kept.addEventListener("input", () => {
  const size = kept.validity.valid && kept.value ? `&since=${kept.valueAsNumber}` : "";
  byId("export-checkpoint").href = `/api/audit/export?format=checkpoint${size}`;
});
byId("export-checkpoint").addEventListener("click", (event) => {
  if (!kept.reportValidity()) event.preventDefault();
});
const signed = document.getElementById("signed-time");
if (signed) {
  const time_ms = Number(signed.dataset.ms);
  signed.dateTime = new Date(time_ms).toISOString();
  signed.textContent = `${moment(time_ms, true)} ${zone(time_ms)}`;
}

// asked for only when it is opened: the look is an entry of its own
byId("seal-card").addEventListener("toggle", (event) => {
  if (event.target.open) showSeal(byId("seal")).catch((error) => toast(error.message, "error"));
});

byId("holds-card").addEventListener("toggle", (event) => {
  const people = [...form.elements.person.options].filter((option) => option.value);
  if (event.target.open) showHolds(byId("holds"), people, refresh).catch((error) => toast(error.message, "error"));
});

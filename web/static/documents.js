// The documents page: choose a collection, upload many files at once, watch them become searchable.
import { api } from "./api.js";
import { titled } from "./classification.js";
import { byId, confirmed, fail, fill, h, size, toast } from "./dom.js";
import { moment, plural } from "./figures.js";
import { UploadLine } from "./uploads.js";

const select = byId("collection");
const drop = byId("drop");
const rows = byId("documents");
const search = byId("name-filter");

const STATES = {
  PENDING: ["work", "Waiting"],
  PARSING: ["work", "Reading"],
  EMBEDDING: ["work", "Indexing"],
  READY: ["ok", "Ready"],
  FAILED: ["bad", "Failed"],
};
const PARALLEL = 3;
// the same file would fail in the same way again (appliance/documents/rejections.py)
const FINAL = new Set(["empty", "too_large", "encrypted", "corrupt", "mislabelled", "unsupported", "unsafe", "macros", "too_many_pages", "no_text", "parser_memory"].map((reason) => `document.${reason}`));

let collections = [];
let source = null;
const known = new Map(); // document id -> { item, row }

const current = () => collections.find((collection) => collection.id === select.value);

async function start() {
  collections = await api.get("/api/collections");
  fill(
    select,
    collections.map((each) => h("option", { value: each.id }, titled(each, each.may_contribute ? "" : "read only"))),
  );
  const wanted = new URLSearchParams(location.search).get("collection");
  const first = collections.find((each) => each.id === wanted) ?? collections.find((each) => each.personal) ?? collections[0];
  if (!first) {
    byId("no-collection").hidden = false;
    return;
  }
  select.value = first.id;
  open();
}

function open() {
  known.clear();
  fill(rows);
  const collection = current();
  for (const line of byId("uploads").children) line.hidden = line.dataset.collection !== collection.id;
  drop.hidden = !collection.may_contribute;
  byId("read-only").hidden = collection.may_contribute;
  const whose = collection.personal ? "Only you can read what lies here." : "Shared: others can read what lies here.";
  byId("whose").textContent = `${whose} Classified as ${collection.classification}.`;
  const stay = collection.days === null ? "" : `Documents here are removed ${plural(collection.days, "day")} after upload.`;
  for (const place of [byId("stay"), byId("stay-upload")]) {
    place.textContent = stay;
    place.hidden = stay === "";
  }
  history.replaceState(null, "", `/documents?collection=${encodeURIComponent(collection.id)}`);
  watch();
}

function watch() {
  source?.close();
  source = new EventSource(`/api/documents/events?collection_id=${encodeURIComponent(select.value)}`);
  source.addEventListener("documents", (event) => apply(JSON.parse(event.data)));
  source.addEventListener("problem", (event) => {
    source.close();
    fail(JSON.parse(event.data));
  });
}

function apply({ complete, changed, removed }) {
  if (complete) {
    const present = new Set(changed.map((item) => item.id));
    [...known.keys()].filter((id) => !present.has(id)).forEach(remove);
  }
  removed.forEach(remove);
  changed.forEach(show);
  summarise();
}

function remove(id) {
  known.get(id)?.row.remove();
  known.delete(id);
}

function show(item) {
  const row = line(item);
  const before = known.get(item.id);
  if (before) {
    const act = before.row.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    before.row.replaceWith(row);
    if (act) row.querySelector(`[data-act="${act}"]`)?.focus();
    if (before.item.status !== item.status && item.status === "READY") byId("spoken").textContent = `${item.name} is ready.`;
    if (before.item.status !== item.status && item.status === "FAILED") byId("spoken").textContent = `${item.name} failed: ${item.reason}`;
  } else {
    const older = [...known.values()].find((other) => other.item.uploaded_ms < item.uploaded_ms);
    rows.insertBefore(row, older ? older.row : null);
  }
  known.delete(item.id);
  known.set(item.id, { item, row });
  row.hidden = !matches(item);
}

const matches = (item) => item.name.toLowerCase().includes(search.value.trim().toLowerCase());

function line(item) {
  const ready = item.status === "READY";
  const mine = current().may_contribute;
  return h(
    "tr",
    { "data-document": item.id, "data-status": item.status },
    h(
      "td.document-name",
      {},
      ready ? h("a", { href: `/documents/${item.id}`, "data-act": "open" }, item.name) : item.name,
      item.status === "FAILED" && h("p.reason", {}, item.reason),
      item.hidden_letters > 0 && h("p.reason.warn", {}, hiddenText(item)),
    ),
    h("td", { "data-label": "State" }, state(item)),
    h("td.number", { "data-label": "Pages" }, ready ? item.page_count.toLocaleString("en") : "–"),
    h("td.number", { "data-label": "Size" }, size(item.size_bytes)),
    h("td.nowrap", { "data-label": "Added" }, h("div", {}, h("time", { datetime: new Date(item.uploaded_ms).toISOString() }, moment(item.uploaded_ms)), item.end_ms !== null && h("span.end.muted.small", {}, `to be removed ${moment(item.end_ms).slice(0, 10)}`))),
    h(
      "td.actions",
      {},
      item.status === "FAILED" && mine && !FINAL.has(item.reason_code) && button("retry", "Try again", item, retry),
      h("a.button.quiet.small", { href: `/api/documents/${item.id}/content`, download: true, "data-act": "download", "aria-label": `Download ${item.name}` }, "Download"),
      mine && button("delete", "Delete", item, erase),
    ),
  );
}

function hiddenText({ hidden_pages: pages }) {
  const [where, verb] = /[ ,]/u.test(pages) ? [`Pages ${pages}`, "hold"] : [`Page ${pages}`, "holds"];
  return `${where} ${verb} text that is not visible when the page is shown. That text is not read.`;
}

function button(act, label, item, handler) {
  const attributes = { type: "button", "data-act": act, "aria-label": `${label}: ${item.name}`, onclick: () => handler(item).catch(fail) };
  return h("button.button.quiet.small", attributes, label);
}

function state(item) {
  const [kind, label] = STATES[item.status];
  const moving = item.status === "PARSING" || item.status === "EMBEDDING";
  const detail = moving ? `${item.stage || label}${item.status === "EMBEDDING" ? `, ${item.percent} %` : ""}` : label;
  return [
    h("span.badge", { class: kind, "data-state": true }, detail),
    moving && h("progress", { max: 100, value: item.percent, "aria-label": `${label} ${item.name}` }),
  ].filter(Boolean);
}

function summarise() {
  const items = [...known.values()].map((entry) => entry.item);
  const busy = items.filter((item) => !["READY", "FAILED"].includes(item.status)).length;
  byId("count").textContent = items.length === 0 ? "" : plural(items.length, "document") + (busy ? `, ${busy} in progress` : "");
  byId("documents-table").hidden = items.length === 0;
  byId("name-field").hidden = items.length < 8;
  byId("empty").hidden = items.length > 0;
}

async function retry(item) {
  await api.post(`/api/documents/${item.id}/retry`);
  toast(`${item.name} is tried again.`);
}

async function erase(item) {
  const detail = `“${item.name}”, its text and its index entries are removed. Answers that cite it keep their words, but their source can no longer be opened.`;
  if (!(await confirmed("Delete this document?", { detail }))) return;
  await api.delete(`/api/documents/${item.id}`);
  remove(item.id);
  summarise();
  toast(`${item.name} was deleted.`);
}

// uploads
const waiting = [];
let running = 0;

function accept(files) {
  const collection = current();
  if (!collection?.may_contribute) return;
  for (const file of files) {
    const upload = new UploadLine(file, collection.id, Number(drop.dataset.limitMb), stored);
    byId("uploads").append(upload.element);
    if (upload.acceptable()) waiting.push(upload);
  }
  pump();
}

function pump() {
  while (running < PARALLEL && waiting.length) {
    const upload = waiting.shift();
    if (upload.cancelled) continue;
    running += 1;
    upload.send().finally(() => {
      running -= 1;
      pump();
    });
  }
}

function stored({ document: item }) {
  if (item.collection_id === select.value && !known.has(item.id)) {
    show(item);
    summarise();
  }
}

byId("files").addEventListener("change", (event) => {
  accept([...event.target.files]);
  event.target.value = "";
});
drop.addEventListener("dragover", () => drop.classList.add("over"));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].filter((entry) => entry.kind === "file");
  const files = entries.filter((entry) => !entry.webkitGetAsEntry?.()?.isDirectory).map((entry) => entry.getAsFile());
  if (files.length < entries.length) toast("Folders are not taken; choose the files inside.");
  accept(files);
});
// a file dropped beside the zone must not replace the page
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => {
  if (running || waiting.length) event.preventDefault();
});
// browsers hold few connections to one box: a tab that nobody sees gives its own back
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else if (source) watch();
});
select.addEventListener("change", open);
search.addEventListener("input", () => known.forEach(({ item, row }) => (row.hidden = !matches(item))));

start().catch(fail);

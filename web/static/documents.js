// The documents page: choose a collection, upload many files, watch them become searchable.
import { api } from "./api.js";
import { h } from "./dom.js";
import { confirmed } from "./dialogs.js";
import { fileSize, moment, plural } from "./figures.js";
import { UploadLine } from "./uploads.js";

const select = document.querySelector("#collection");
const drop = document.querySelector("#drop");
const chooser = document.querySelector("#files");
const uploads = document.querySelector("#uploads");
const rows = document.querySelector("#documents");
const table = document.querySelector("#documents-table");
const empty = document.querySelector("#empty");
const count = document.querySelector("#count");
const note = document.querySelector("#note");
const search = document.querySelector("#name-filter");
const limitMb = Number(document.querySelector("main").dataset.uploadLimitMb || drop.dataset.uploadLimitMb);

const STATES = {
  PENDING: ["waiting", "Waiting"],
  PARSING: ["working", "Reading"],
  EMBEDDING: ["working", "Indexing"],
  READY: ["ready", "Ready"],
  FAILED: ["failed", "Failed"],
};
const PARALLEL = 3;

let collections = [];
let source = null;
const known = new Map(); // document id -> { item, row }

const say = (text) => {
  note.textContent = text;
};
const current = () => collections.find((collection) => collection.id === select.value);

async function start() {
  const answer = await api.get("/api/collections");
  collections = answer.collections;
  select.replaceChildren(
    ...collections.map((collection) =>
      h("option", { value: collection.id }, collection.name + (collection.may_contribute ? "" : " (read only)")),
    ),
  );
  const wanted = new URLSearchParams(location.search).get("collection");
  const first = collections.find((c) => c.id === wanted) || collections.find((c) => c.personal) || collections[0];
  if (!first) {
    say("You have no collection yet. Ask your administrator.");
    return;
  }
  select.value = first.id;
  open();
}

function open() {
  source?.close();
  known.clear();
  rows.replaceChildren();
  const collection = current();
  drop.hidden = !collection.may_contribute;
  document.querySelector("#read-only").hidden = collection.may_contribute;
  history.replaceState(null, "", `/documents?collection=${encodeURIComponent(collection.id)}`);
  source = new EventSource(`/api/documents/events?collection_id=${encodeURIComponent(collection.id)}`);
  source.addEventListener("documents", (event) => {
    const change = JSON.parse(event.data);
    if (change.complete) {
      const present = new Set(change.changed.map((item) => item.id));
      [...known.keys()].filter((id) => !present.has(id)).forEach(remove);
    }
    change.removed.forEach(remove);
    change.changed.forEach(show);
    summarise();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) say("Live progress ended. Reload the page to see the present state.");
  });
}

function remove(id) {
  known.get(id)?.row.remove();
  known.delete(id);
}

function show(item) {
  const row = line(item);
  const before = known.get(item.id);
  if (before) {
    const focused = before.row.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    before.row.replaceWith(row);
    if (focused) row.querySelector(`[data-act="${focused}"]`)?.focus();
    if (before.item.status !== item.status && item.status === "READY") say(`${item.name} is ready.`);
    if (before.item.status !== item.status && item.status === "FAILED") say(`${item.name} failed: ${item.reason}`);
  } else {
    const next = [...known.values()].find((other) => other.item.uploaded_ms < item.uploaded_ms);
    rows.insertBefore(row, next ? next.row : null);
  }
  known.set(item.id, { item, row });
  row.hidden = !matches(item);
}

const matches = (item) => item.name.toLowerCase().includes(search.value.trim().toLowerCase());

function line(item) {
  const ready = item.status === "READY";
  const name = ready ? h("a", { href: `/documents/${item.id}` }, item.name) : h("span", {}, item.name);
  const acts = [];
  if (item.status === "FAILED" && current().may_contribute) acts.push(button("retry", "Try again", item, retry));
  acts.push(
    h("a", { class: "button quiet", "data-act": "download", href: `/api/documents/${item.id}/content`, download: "", "aria-label": `Download ${item.name}` }, "Download"),
  );
  if (current().may_contribute) acts.push(button("delete", "Delete", item, erase));
  return h(
    "tr",
    { "data-document": item.id, "data-status": item.status },
    h("td", { class: "name" }, name, item.status === "FAILED" ? h("p", { class: "reason" }, item.reason) : null),
    h("td", { "data-label": "State" }, chip(item)),
    h("td", { "data-label": "Pages", class: "number" }, ready ? String(item.page_count) : "–"),
    h("td", { "data-label": "Size", class: "number" }, fileSize(item.size_bytes)),
    h("td", { "data-label": "Added" }, moment(item.uploaded_ms)),
    h("td", { class: "acts" }, ...acts),
  );
}

function button(act, label, item, handler) {
  const element = h("button", { type: "button", class: "quiet", "data-act": act, "aria-label": `${label}: ${item.name}` }, label);
  element.addEventListener("click", () => handler(item).catch((error) => say(error.message)));
  return element;
}

function chip(item) {
  const [kind, label] = STATES[item.status];
  const working = kind === "working";
  const detail = working ? (item.stage || `${label} ${item.percent} %`) : label;
  return h(
    "span",
    { class: `chip ${kind}` },
    working ? h("progress", { max: 100, value: item.percent, "aria-label": `${label}: ${item.name}` }) : null,
    detail,
  );
}

function summarise() {
  const items = [...known.values()].map((entry) => entry.item);
  const busy = items.filter((item) => ["PENDING", "PARSING", "EMBEDDING"].includes(item.status)).length;
  count.textContent = plural(items.length, "document") + (busy ? `, ${busy} in progress` : "");
  table.hidden = items.length === 0;
  search.parentElement.hidden = items.length < 8;
  empty.hidden = items.length > 0;
}

async function retry(item) {
  await api.post(`/api/documents/${item.id}/retry`);
  say(`${item.name} is tried again.`);
}

async function erase(item) {
  const sure = await confirmed({
    title: "Delete this document?",
    text: `“${item.name}”, its text and its index entries are removed. Answers that cite it keep their words, but the source can no longer be opened.`,
    act: "Delete",
  });
  if (!sure) return;
  await api.delete(`/api/documents/${item.id}`);
  remove(item.id);
  summarise();
  say(`${item.name} was deleted.`);
}

// uploads -----------------------------------------------------------------------------------------------------------
const waiting = [];
let running = 0;

function accept(files) {
  const collection = current();
  if (!collection?.may_contribute) return;
  for (const file of files) {
    const upload = new UploadLine(file, collection.id, { limitMb, onEnd: finished });
    uploads.append(upload.element);
    if (upload.begin()) waiting.push(upload);
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

function finished(upload, answer) {
  if (answer.duplicate) say(`${upload.file.name} is already in this collection.`);
  if (answer.document.collection_id === select.value && !known.has(answer.document.id)) {
    show(answer.document);
    summarise();
  }
}

chooser.addEventListener("change", () => {
  accept([...chooser.files]);
  chooser.value = "";
});
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const files = [...event.dataTransfer.items]
    .filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile());
  if (files.length < event.dataTransfer.items.length) say("Folders are not taken; choose the files inside.");
  accept(files);
});
// a file dropped beside the zone must not replace the page
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => {
  if (running || waiting.length) event.preventDefault();
});
select.addEventListener("change", open);
search.addEventListener("input", () => known.forEach(({ item, row }) => (row.hidden = !matches(item))));

start().catch((error) => say(error.message));

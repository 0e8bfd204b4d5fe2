// Versions of models and what administrators do with them.
import { letAnswer, letTry } from "./activation.js";
import { api } from "./api.js";
import { byId, confirmed, fail, fill, h, pair, size, toast } from "./dom.js";
import { plural } from "./figures.js";
import { asked } from "./form_dialog.js";
import { comparison } from "./model_comparison.js";
import { figure, figures, label, long, variants } from "./model_figures.js";
import { IndexWatch, indexNote } from "./model_indexes.js";

const KINDS = { language: "Language model: writes the answers", embedding: "Embedder: finds the passages" };
const FORMATS = { gguf: "GGUF", genai: "ONNX GenAI", onnx: "ONNX", served: "in a server" };
const BADGES = { active: "ok", canary: "work", candidate: "accent", retired: "" };
const weights = (millions) => (millions < 1000 ? `${figure(Math.round(millions))} million` : `${(millions / 1000).toFixed(1)} billion`);

let groups = [];
const groupName = (id) => groups.find((group) => group.id === id)?.name ?? "a group";

function stateOf(model) {
  const share = model.canary_percent ? `, ${model.canary_percent} %` : model.canary_group ? `, ${groupName(model.canary_group)}` : "";
  return h("span.badge", { class: BADGES[model.state] }, model.state + share);
}

function facts(model) {
  return h(
    "dl.pairs",
    {},
    pair("Format", `${FORMATS[model.format] ?? model.format} ${model.quantisation}`),
    pair("Size class", `${model.size_class}, ${weights(model.parameters_m)} weights`),
    pair("On disk", size(model.size_bytes) + (model.encrypted ? ", encrypted" : "")),
    pair("Needs memory", size(model.memory_mb * 1e6)),
    pair("Reads at once", `${figure(model.context_tokens)} word pieces`),
    model.vectors && pair("Vectors", model.vectors),
    pair("Licence", model.licence),
    figures(model.measured).map((name) => pair(label(name), long(name, model.measured))),
  );
}

function more(model) {
  return h(
    "details",
    {},
    h("summary", {}, "Origin and measurements"),
    h(
      "dl.pairs",
      {},
      pair("Source", model.source),
      model.made_from && pair("Made from", model.made_from),
      pair("Signed", model.signer ? h("code.digest", {}, model.signer) : "no"),
      model.replaced && pair("Replaced", model.replaced),
      pair("SHA-256", h("code.digest", {}, model.sha256)),
    ),
    variants(model.trials),
  );
}

function actions(model, last, index) {
  const embedding = index?.state === "building";
  const act = (label, handler, kind = "") =>
    h("button.button.small", { type: "button", class: kind, "aria-label": `${label}: ${model.id}`, onclick: () => handler(model).catch(fail) }, label);
  const language = model.kind === "language";
  return h(
    "div.card-actions",
    {},
    index?.against && act("Activate all the same", letThrough),
    model.unloadable && act("Try again", tryAgain),
    embedding && act("Abandon", abandon),
    model.state !== "active" && !embedding && act("Activate", activate),
    model.state === "active" && model.replaced && act("Roll back", rollBack),
    model.state !== "active" && language && act(model.state === "canary" ? "Change trial" : "Try out", tryOut),
    model.state !== "retired" && !last && !embedding && act("Retire", retire),
    (model.state === "candidate" || model.state === "retired") && !embedding && act("Delete", remove, "danger"),
    last && h("p.hint", {}, LAST[model.kind]),
  );
}

const LAST = {
  language: "The only active language model: it can be retired once another one is active.",
  embedding: "All documents are indexed with it: it stays until another one has taken over.",
};

const ofModel = (indexes, model) => indexes.find((index) => index.model_id === model.id);

const card = (model, active, indexes) =>
  h(
    "article.card",
    { "data-model": model.id },
    h("p.muted.small", {}, KINDS[model.kind] ?? model.kind),
    h("h2", {}, model.id, " ", stateOf(model)),
    model.kind === "embedding" && [h("div.index-note", { "data-index": model.id }, indexNote(ofModel(indexes, model))), comparison(model, ofModel(indexes, model))],
    model.unloadable && h("p.notice.warn", { "data-unloadable": model.id }, model.unloadable),
    facts(model),
    more(model),
    actions(model, model.state === "active" && active.filter((other) => other.kind === model.kind).length === 1, ofModel(indexes, model)),
  );

const watch = new IndexWatch(
  (indexes) => {
    for (const place of document.querySelectorAll("[data-index]")) {
      const index = indexes.find((item) => item.model_id === place.dataset.index);
      fill(place, indexNote(index) ?? []);
    }
  },
  () => load().catch(fail),
);

async function load() {
  const [models, indexes, known] = await Promise.all([api.get("/api/models"), watch.begin(), api.get("/api/groups")]);
  groups = known;
  const retired = models.filter((model) => model.state === "retired");
  const active = models.filter((model) => model.state === "active");
  fill(byId("models"), models.filter((model) => model.state !== "retired").map((model) => card(model, active, indexes)));
  fill(byId("retired-models"), retired.map((model) => card(model, active, indexes)));
  byId("retired").hidden = retired.length === 0;
  byId("empty").hidden = models.length > 0;
}

async function done(sentence) {
  toast(sentence);
  await load();
  document.dispatchEvent(new Event("models-changed")); // for what would answer now
}

const path = (model) => `/api/models/${encodeURIComponent(model.id)}`;

const IN_BACKGROUND = "Every document is embedded with it in the background. Until that is done the present model finds the passages. Then the required golden sets are searched with both, and it takes over at once unless they speak against it. It can be abandoned at any time.";

async function activate(model) {
  if (model.kind === "embedding") return embed(model);
  const detail = `Licence: ${model.licence}. The next question is answered by it; answers being written end with the version that began them. The active version of ${model.name} is retired and can be brought back.`;
  if (!(await confirmed(`Let ${model.id} answer?`, { detail, yes: "Activate", danger: false }))) return;
  if ((await letAnswer(path(model))) === "done") await done(`${model.id} is active.`);
}

async function embed(model) {
  const detail = `Licence: ${model.licence}. ${IN_BACKGROUND}`;
  if (!(await confirmed(`Embed the documents with ${model.id}?`, { detail, yes: "Embed", danger: false }))) return;
  await api.post(`${path(model)}/activate`);
  await done(`The documents are being embedded with ${model.id}.`);
}

async function letThrough(model) {
  if ((await letAnswer(path(model))) === "done") await done(`${model.id} takes over in a moment.`);
}

async function abandon(model) {
  if (!(await confirmed(`Stop embedding with ${model.id}?`, { detail: "What it has embedded is thrown away. The present model goes on.", yes: "Abandon" }))) return;
  await api.post(`${path(model)}/abandon`);
  await done(`Nothing is embedded with ${model.id} any longer.`);
}

async function rollBack(model) {
  const language = model.kind === "language";
  const detail = language ? `${model.replaced} answers the next question, ${model.id} is retired.` : IN_BACKGROUND;
  if (!(await confirmed(`Go back to ${model.replaced}?`, { detail, yes: "Roll back", danger: false }))) return;
  const restored = await api.post(`/api/models/${encodeURIComponent(model.name)}/rollback`);
  await done(language ? `${restored.id} is active again.` : `The documents are being embedded with ${restored.id}.`);
}

async function tryOut(model) {
  const share = h("input", { id: "share", name: "percent", type: "number", min: 1, max: 99, required: true, value: String(model.canary_percent ?? 10), "aria-describedby": "share-hint" });
  const hint = h("p.hint", { id: "share-hint" }, "A conversation stays with the version it began with.");
  const shared = h("div.field", {}, h("label", { for: "share" }, "Share of the conversations, in percent"), share, hint);
  const option = (group) => h("option", { value: group.id, selected: group.id === model.canary_group }, `${group.name} (${plural(group.member_count, "member")})`);
  const whose = h("select", { id: "trial-group", name: "group" }, h("option", { value: "" }, "A share of everybody's"), groups.map(option));
  const choose = () => {
    shared.hidden = share.disabled = whose.value !== "";
  };
  whose.addEventListener("change", choose);
  choose();
  let whom = null;
  await asked(`Try ${model.id} out`, [h("div.field", {}, h("label", { for: "trial-group" }, "Whose conversations it answers"), whose), shared], "Try out", (form) => {
    whom = form.get("group") ? { group: form.get("group") } : { percent: Number(form.get("percent")) };
  });
  if (!whom || (await letTry(path(model), whom)) !== "done") return;
  await done(`${model.id} answers ${whom.group ? `the conversations of ${groupName(whom.group)}` : `${whom.percent} % of the conversations`}.`);
}

async function tryAgain(model) {
  await api.post(`${path(model)}/retry`);
  await done(`${model.id} is tried again with the next question that it would answer.`);
}

async function retire(model) {
  if (!(await confirmed(`Retire ${model.id}?`, { detail: "It answers no further question. Its file stays.", yes: "Retire" }))) return;
  await api.post(`${path(model)}/retire`);
  await done(`${model.id} is retired.`);
}

async function remove(model) {
  const detail = `${size(model.size_bytes)} are deleted from this box. To have it again it must be imported again.`;
  if (!(await confirmed(`Delete ${model.id}?`, { detail }))) return;
  await api.delete(path(model));
  await done(`${model.id} was deleted.`);
}

load().catch(fail);

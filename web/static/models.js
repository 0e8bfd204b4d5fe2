// The installed models, for administrators.
import { api } from "./api.js";
import { byId, fill, h, size, toast } from "./dom.js";

const KINDS = { language: "Language model: writes the answers", embedding: "Embedder: finds the passages" };
const MEASURED = {
  prefill_tokens_per_s: "Word pieces read per second",
  decode_tokens_per_s: "Word pieces written per second",
  tokens_per_s: "Word pieces read per second",
  cosine_to_float32: "Similarity to full precision",
};
const pair = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
const figure = (value) => (Number.isFinite(value) ? value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 }) : String(value));

function card(model) {
  const speeds = Object.entries(model.measured);
  return h(
    "article.card",
    { "data-model": model.id },
    h("p.muted.small", {}, KINDS[model.kind] ?? model.kind),
    h("h2", {}, model.id, " ", h("span.badge", { class: model.active ? "ok" : "" }, model.active ? "active" : "installed")),
    h(
      "dl.pairs",
      {},
      pair("Format", model.format),
      pair("Size", size(model.size_bytes)),
      pair("Reads at once", `${figure(model.context_tokens)} word pieces`),
      pair("Licence", model.licence),
      model.source && pair("Source", model.source),
      speeds.map(([name, value]) => pair(MEASURED[name] ?? name.replaceAll("_", " "), figure(value))),
      pair("SHA-256", h("code.digest", {}, model.sha256)),
    ),
  );
}

try {
  const models = await api.get("/api/models");
  fill(byId("models"), models.map(card));
  byId("empty").hidden = models.length > 0;
} catch (error) {
  toast(error.message, "error");
}

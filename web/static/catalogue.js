// The models that this product knows, held against this box. Below the list of what is installed.
import { api } from "./api.js";
import { byId, fail, fill, h, pair, size } from "./dom.js";

const MB = 1_000_000;
const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 1 });

function badge(model) {
  if (model.unusable) return h("span.badge.bad", {}, "cannot be used");
  if (Object.keys(model.versions).length > 0) return h("span.badge.ok", {}, "installed");
  if (!model.fits) return h("span.badge.bad", {}, "too large for this box");
  return model.runtimes.some((runtime) => runtime.usable) ? h("span.badge", {}, "fits") : h("span.badge.work", {}, "nothing here runs it");
}

function need({ quantisation, memory_mb: memory, fits_on: places }) {
  const beside = places.filter((device) => device !== "cpu");
  const where = beside.length ? `, fits ${beside.join(", ")}` : places.length ? "" : ", does not fit";
  return h("li", {}, `${quantisation}: ${size(memory * MB)}${where}`);
}

const runner = ({ name, usable, reason }) => h("li", {}, name, !usable && h("span.muted", {}, `, not now: ${reason}`));
const supply = ({ sentence, command }) => h("li", {}, sentence, command && [": ", h("code", {}, command)]);
const installed = (versions) => Object.entries(versions).map(([id, state]) => `${id} (${state})`).join(", ");
const list = (items, view) => h("ul.plain", {}, items.map(view));

function entry(model) {
  const least = Math.min(...model.memory.map((each) => each.memory_mb));
  return h(
    "details",
    { "data-known": model.name },
    h(
      "summary",
      {},
      h("strong", {}, model.title),
      badge(model),
      h("span.muted.small", {}, `${model.kind}, ${model.size_class}, from ${size(least * MB)}, ${model.licence}`),
    ),
    model.note && h("p", {}, model.note),
    model.unusable && h("p", {}, model.unusable),
    h(
      "dl.pairs",
      {},
      pair("Name", h("code", {}, model.name)),
      pair("Weights", `${number(model.parameters_m)} million`),
      pair("Reads at once", `${number(model.context_tokens)} word pieces`),
      model.kind === "language" && pair("Chat template", model.template),
      pair("Licence", model.licence),
      pair("Needs memory", list(model.memory, need)),
      model.runtimes.length > 0 && pair("Runs in", list(model.runtimes, runner)),
      model.sources.length > 0 && pair("Comes from", list(model.sources, supply)),
      pair("Installed", installed(model.versions) || "no"),
    ),
  );
}

async function load() {
  const open = new Set([...document.querySelectorAll("[data-known][open]")].map((each) => each.dataset.known));
  fill(byId("catalogue"), (await api.get("/api/models/catalogue")).map(entry));
  for (const each of document.querySelectorAll("[data-known]")) each.open = open.has(each.dataset.known);
}

const show = () => load().catch(fail);
document.addEventListener("models-changed", show);
show();

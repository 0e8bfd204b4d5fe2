// Golden sets: the list of them, one of them, and what came of a run. The part of the address behind # says which is shown.
import { api } from "./api.js";
import { byId, fail, fill, h, toast } from "./dom.js";
import { asked } from "./form_dialog.js";
import { showResult } from "./evaluation_result.js";
import { schedule, showSet, verdict } from "./evaluation_set.js";

const place = byId("place");
const LOOK_MS = 2000;
let collections = [];

const collectionName = (id) => collections.find((collection) => collection.id === id)?.name ?? "";

function card(set) {
  return h(
    "article.card.golden-card",
    { "data-set": set.id },
    h("div.golden-head", {}, h("h2", {}, h("a", { href: `#set=${set.id}` }, set.name)), set.required && h("span.badge.accent", {}, "required")),
    h("p.muted.small", {}, `${collectionName(set.collection_id)} · ${set.questions === 1 ? "1 question" : `${set.questions} questions`} · ${schedule(set)}`),
    h("p", {}, set.latest ? verdict(set.latest) : h("span.muted", {}, "Not asked yet.")),
  );
}

async function showList() {
  const sets = await api.get("/api/golden");
  fill(
    place,
    sets.length > 0
      ? h("div.cards", {}, sets.map(card))
      : h("section.empty", {}, h("h2", {}, "No golden set yet"), h("p", {}, "Begin with ten questions that people really ask, and with two that the documents do not answer.")),
  );
  return sets.some((set) => set.latest && ["PENDING", "RUNNING"].includes(set.latest.status));
}

function create() {
  const choice = h("select", { id: "golden-collection", name: "collection_id", required: true }, collections.map(({ id, name }) => h("option", { value: id }, name)));
  const fields = [
    h("div.field", {}, h("label", { for: "golden-name" }, "Name"), h("input", { id: "golden-name", name: "name", type: "text", required: true, maxlength: 200, autocomplete: "off" })),
    h("div.field", {}, h("label", { for: "golden-collection" }, "Collection"), choice, h("p.hint", {}, "Only collections that you may read yourself: the box asks on your behalf, and in this collection alone.")),
  ];
  return asked("New golden set", fields, "Create", async (form) => {
    const made = await api.post("/api/golden", { name: form.get("name"), collection_id: form.get("collection_id") });
    toast(`${form.get("name")} was created.`);
    location.hash = `set=${made.id}`;
  });
}

let shown = 0;

/** Shows what the address names, and looks again while something of it is in the works. */
async function show() {
  const turn = ++shown;
  const [kind, id] = location.hash.slice(1).split("=");
  byId("add").hidden = Boolean(kind);
  const working = kind === "set" ? await showSet(place, id, collectionName) : kind === "run" ? await showResult(place, id) : await showList();
  if (working && turn === shown) watch(turn);
}

/** Numbers alone are asked for meanwhile; what came of it is looked at once, when it has ended. */
async function watch(turn) {
  let before = null;
  while (turn === shown) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (turn !== shown) return;
    const runs = await api.get("/api/golden/progress").catch(() => null);
    if (runs === null) continue;
    for (const run of runs) {
      for (const bar of document.querySelectorAll(`progress[data-run="${CSS.escape(run.id)}"]`)) bar.value = run.done;
      for (const words of document.querySelectorAll(`[data-run-words="${CSS.escape(run.id)}"]`)) words.textContent = run.status === "PENDING" ? "waiting" : `${run.done} of ${run.total} asked`;
    }
    const now = runs.map((run) => run.id).sort().join();
    if (before !== null && before !== now) {
      show().catch(fail);
      return;
    }
    if (runs.length === 0) {
      show().catch(fail);
      return;
    }
    before = now;
  }
}

byId("add").addEventListener("click", () => create().catch(fail));
window.addEventListener("hashchange", () => show().catch(fail));
document.addEventListener("golden-changed", () => show().catch(fail));
api
  .get("/api/collections")
  .catch(() => []) // who is no employee may read none, and so has no set
  .then((found) => {
    collections = found;
    byId("add").disabled = found.length === 0;
    return show();
  })
  .catch(fail);

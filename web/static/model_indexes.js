// How far the index of each embedding model is: shown in the model's card, asked again every few seconds while work goes on.
import { api } from "./api.js";
import { h } from "./dom.js";

const PAUSE_MS = 3000;
const count = (value) => value.toLocaleString("en");

/** What is said of a model's index inside its card; nothing for a model that has none. */
export function indexNote(index) {
  if (!index) return null;
  if (index.state === "leaving") return h("p.hint", {}, "Its vectors are being removed.");
  if (index.state === "serving" && index.complete) return h("p.hint", {}, `The index holds ${count(index.passages)} passages of it, ${index.dimensions} numbers each.`);
  if (index.against) return h("p.notice.error", { role: "status" }, `Everything is embedded, and it does not take over: ${index.against} The present model goes on.`);
  const speed = index.passages_per_s ? `, ${Math.round(index.passages_per_s)} a second` : "";
  const words =
    index.state === "building"
      ? `Embedding every document: ${count(index.passages_done)} of ${count(index.passages)} passages${speed}. Questions are answered with the present model until all are done.`
      : `Bringing documents up to date: ${count(index.documents_done)} of ${count(index.documents)}.`;
  const done = index.state === "building" ? index.percent : (100 * index.documents_done) / Math.max(1, index.documents);
  return h("div", {}, h("progress", { max: 100, value: done, "aria-label": `Embedding with ${index.model_id}` }), h("p.hint", { role: "status" }, words));
}

// whoever serves, and whether another one is kept back: what the buttons of the cards depend on
const standing = (indexes) => indexes.filter((index) => index.state === "serving" || index.against).map((index) => `${index.number} ${index.against}`).join();

const working = (index) => index.state !== "serving" || !index.complete;

/** Calls `shown` with the indexes again and again, and `switched` once another model serves or is kept back, while there is work. */
export class IndexWatch {
  #timer = 0;
  #standing = "";

  constructor(shown, switched) {
    this.shown = shown;
    this.switched = switched;
  }

  /** The indexes now; goes on asking while there is work. */
  async begin() {
    clearTimeout(this.#timer);
    const indexes = await api.get("/api/models/indexes");
    this.#standing = standing(indexes);
    this.#again(indexes);
    return indexes;
  }

  #again(indexes) {
    clearTimeout(this.#timer);
    if (indexes.some(working)) this.#timer = setTimeout(() => this.#ask(), PAUSE_MS);
  }

  async #ask() {
    const indexes = await api.get("/api/models/indexes").catch(() => null); // the next try may find the box again
    if (indexes === null) this.#timer = setTimeout(() => this.#ask(), PAUSE_MS);
    else if (standing(indexes) !== this.#standing) this.switched();
    else {
      this.shown(indexes);
      this.#again(indexes);
    }
  }
}

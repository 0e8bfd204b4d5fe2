// Which documents a conversation draws from: all that one may read, or one collection; chosen before its first question.
import { api } from "./api.js";
import { titled } from "./classification.js";
import { fill, h } from "./dom.js";

export class Scope {
  constructor(select, chooser, badge) {
    this.select = select;
    this.chooser = chooser;
    this.badge = badge;
    this.collections = [];
  }

  get value() {
    return this.select.value;
  }

  /** Documents the person may read, over all collections. */
  get documentCount() {
    return this.collections.reduce((sum, collection) => sum + collection.document_count, 0);
  }

  async load() {
    this.collections = await api.get("/api/collections");
    fill(
      this.select,
      h("option", { value: "" }, "All I may read"),
      this.collections.map((collection) => h("option", { value: collection.id }, titled(collection))),
    );
  }

  choose() {
    this.chooser.hidden = this.collections.length < 2;
    this.badge.hidden = true;
  }

  fix(collectionId) {
    const found = this.collections.find((collection) => collection.id === collectionId);
    this.chooser.hidden = true;
    this.badge.hidden = collectionId === null;
    this.badge.textContent = `Only in ${found?.name ?? "a collection you can no longer read"}`;
  }
}

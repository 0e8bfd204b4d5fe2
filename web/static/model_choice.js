// Which model answers a conversation: the routing policy's choice, or one chosen by hand before its first question.
import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { visible } from "./visible.js";

export class ModelChoice {
  /** `select` is null for people who may not choose. */
  constructor(select, badge) {
    this.select = select;
    this.badge = badge;
    this.choices = {};
  }

  get value() {
    return this.select?.value ?? "";
  }

  async load() {
    if (!this.select) return;
    this.choices = await api.get("/api/model-choices");
    fill(
      this.select,
      h("option", { value: "" }, "Model: by policy"),
      Object.entries(this.choices).map(([id, state]) => h("option", { value: id }, visible(`${id} (${state})`))),
    );
  }

  choose() {
    if (this.select) this.select.parentElement.hidden = Object.keys(this.choices).length < 2;
    this.badge.hidden = true;
  }

  fix(chosen) {
    if (this.select) this.select.parentElement.hidden = true;
    this.badge.hidden = !chosen;
    this.badge.textContent = visible(`Answered by ${chosen}`);
  }
}

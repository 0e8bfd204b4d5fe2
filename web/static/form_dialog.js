// A form in a dialog that stays open, with the sentence that says why, until what it asks for was accepted.
import { h } from "./dom.js";

/** `save` gets the FormData; what it throws is shown inside the dialog. Resolves when the dialog has closed. */
export function asked(title, fields, yes, save, { danger = false } = {}) {
  return new Promise((resolve) => {
    const problem = h("p.field-error", { role: "alert" });
    const submit = h("button.button", { class: danger ? "danger" : "primary" }, yes);
    const cancel = h("button.button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const form = h("form", {}, fields, problem, h("div.dialog-actions", {}, cancel, submit));
    const dialog = h("dialog.dialog", { "aria-labelledby": "form-title" }, h("h2", { id: "form-title" }, title), form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      problem.textContent = "";
      try {
        await save(new FormData(form));
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
      } finally {
        submit.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector("input, select")?.focus();
  });
}

/** What somebody must know after an act, until they close it. Resolves when the dialog has closed. */
export function told(title, content) {
  return new Promise((resolve) => {
    const close = h("button.button.primary", { type: "button", onclick: () => dialog.close() }, "Close");
    const dialog = h("dialog.dialog", { "aria-labelledby": "told-title" }, h("h2", { id: "told-title" }, title), content, h("div.dialog-actions", {}, close));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

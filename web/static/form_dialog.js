// A form in a dialog that stays open, with the sentence that says why, until what it asks for was accepted.
import { h } from "./dom.js";
import { submitted } from "./form_sending.js";

/** `save` gets the FormData; what it throws is shown inside the dialog. Resolves when the dialog has closed. */
export function asked(title, fields, yes, save, { danger = false } = {}) {
  return new Promise((resolve) => {
    const submit = h("button.button", { type: "submit", class: danger ? "danger" : "primary" }, yes);
    const cancel = h("button.button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const form = h("form", {}, fields, h("p.field-error", { role: "alert" }), h("div.dialog-actions", {}, cancel, submit));
    const dialog = h("dialog.dialog", { "aria-labelledby": "form-title" }, h("h2", { id: "form-title" }, title), form);
    submitted(form, async (given) => {
      await save(given);
      dialog.close();
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

// Fields of forms: the label above, and below it what is read with the field.
import { h } from "./dom.js";

/** One line to type into, required; `attributes` are those of the input, `hint` a sentence below it. */
export function field(id, label, attributes, hint = null) {
  return h(
    "div.field",
    {},
    h("label", { for: id }, label),
    h("input", { id, required: true, autocomplete: "off", ...attributes, "aria-describedby": hint && `${id}-hint` }),
    hint && h("p.hint", { id: `${id}-hint` }, hint),
  );
}

/** The current password of whoever is signed in, as `password`. */
export const ownPassword = (id) => field(id, "Current password", { name: "password", type: "password", autocomplete: "current-password" });

/** A code of their second factor, as `code`. */
export const ownCode = (id) =>
  field(id, "Code of your app, or a recovery code", { name: "code", type: "text", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false" });

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

/** The same field, with a button that shows what is typed: of a password that is chosen for somebody else, and typed once. */
export function revealable(labelled) {
  const input = labelled.querySelector("input");
  const button = h("button.button.quiet.small", { type: "button", "aria-pressed": "false" }, "Show");
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", String(shown));
  });
  const place = h("div.reveal", {});
  input.replaceWith(place);
  place.append(input, button);
  return labelled;
}

/** The current password of whoever is signed in, as `password`. */
export const ownPassword = (id) => field(id, "Current password", { name: "password", type: "password", autocomplete: "current-password" });

/** A code of their second factor, as `code`. */
export const ownCode = (id) =>
  field(id, "Code of your app, or a recovery code", { name: "code", type: "text", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false" });

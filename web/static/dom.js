// Elements from values. Text is always text: nothing here, or anywhere, parses markup; and all of it can be seen.
import { visible } from "./visible.js";

export const byId = (id) => document.getElementById(id);

function shown(children) {
  const present = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return present.map((child) => (child instanceof Node ? child : visible(String(child))));
}

/** `h("a.button", {href: "/", onclick: f, hidden: true}, "text", node, [more])`; null and false children are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : visible(String(value)));
  }
  element.append(...shown(children));
  return element;
}

/** Replace what `parent` holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...shown(children));
  return parent;
}

/** One line of a `dl.pairs`. */
export const pair = (name, value) => [h("dt", {}, name), h("dd", {}, typeof value === "number" ? value.toLocaleString("en") : value)];

/** 1,234,567 -> "1.2 MB"; megabytes of 1,000,000 bytes. */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${value} bytes` : `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A short message at the edge of the window; `kind` is "info" or "error". */
export function toast(text, kind = "info") {
  const note = h("p.toast", { class: kind }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), kind === "error" ? 9000 : 4500);
}

/** What went wrong, told to whoever caused it. */
export const fail = (error) => toast(error.message, "error");

/** Ask before something that cannot be undone; resolves to true or false. Escape means no. */
export function confirmed(question, { detail = "", yes = "Delete", danger = true } = {}) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog.dialog",
      { "aria-labelledby": "dialog-question" },
      h("h2", { id: "dialog-question" }, question),
      detail && h("p", {}, detail),
      h(
        "div.dialog-actions",
        {},
        h("button.button", { type: "button", onclick: () => dialog.close("no") }, "Cancel"),
        h("button.button", { type: "button", class: danger ? "danger" : "primary", onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

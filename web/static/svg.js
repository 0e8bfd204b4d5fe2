// Drawings from values, as dom.js makes elements: text only, and no styles.
import { visible } from "./visible.js";

const SVG = "http://www.w3.org/2000/svg";

/** `s("path", {class: "line", d: "M0 0"}, node, "text")`; null and false children are left out. */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, visible(String(value)));
  const present = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...present.map((child) => (child instanceof Node ? child : visible(String(child)))));
  return element;
}

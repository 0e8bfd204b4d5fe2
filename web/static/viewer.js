// One page of a document with the cited passage marked: the page's image where there is one, else its text.
import { api } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { capitalised, partWord } from "./places.js";
import { visible } from "./visible.js";

const SVG = "http://www.w3.org/2000/svg";
const ZOOMS = [50, 67, 80, 100, 125, 150, 200, 300];
const viewer = byId("viewer");
const stage = byId("stage");
const documentId = encodeURIComponent(viewer.dataset.document);
const pages = Number(viewer.dataset.pages);
const flowing = viewer.dataset.flowing === "yes";
const paged = viewer.dataset.paged === "yes";
const asked = new URLSearchParams(location.search);
const offset = (name) => (/^\d+$/.test(asked.get(name) ?? "") ? Number(asked.get(name)) : null);
const span = { start: offset("start"), end: offset("end") };

let number = Math.min(Math.max(offset("page") ?? 1, 1), pages);
let zoom = 100;
let turn = 0; // the latest wish wins over answers that arrive late

async function show(wanted, { scroll = true } = {}) {
  number = Math.min(Math.max(wanted, 1), pages);
  const mine = ++turn;
  byId("page").value = number;
  byId("previous").disabled = number === 1;
  byId("next").disabled = number === pages;
  asked.set("page", number);
  history.replaceState(null, "", `${location.pathname}?${asked}`);
  viewer.setAttribute("aria-busy", "true");
  try {
    const path = `/api/documents/${documentId}/pages/${number}`;
    const wantsMarks = paged && span.start !== null && span.end !== null;
    const [page, marks] = await Promise.all([
      api.get(path),
      wantsMarks ? api.get(`${path}/highlights?start=${span.start}&end=${span.end}`) : { rectangles: [] },
    ]);
    if (mine !== turn) return;
    byId("problem").hidden = true;
    byId("label").textContent = visible(page.label);
    byId("label").hidden = page.label === "";
    const text = marked(page);
    if (paged) {
      fill(byId("text"), text);
      const image = sheet(path, marks.rectangles);
      const patience = setTimeout(() => fill(stage, blank()), 300);
      await image.ready.finally(() => clearTimeout(patience));
      if (mine !== turn) return;
      fill(stage, image.figure);
    } else {
      fill(stage, h("article.page-text.sheet", {}, text));
    }
    if (mine === turn && scroll) reveal();
  } catch (error) {
    if (mine !== turn) return;
    fill(stage);
    byId("problem").textContent = visible(error.message);
    byId("problem").hidden = false;
  } finally {
    if (mine === turn) viewer.removeAttribute("aria-busy");
  }
}

// The text of a page; offsets of the address count in the whole document, those of a page from its own start.
function marked({ text: written, start }) {
  // in Markdown the end of a line within a paragraph is a space; one character for one, so that offsets hold
  const text = flowing ? written.replace(/(?<=[^\n]{40})\n(?=\p{L})/gu, " ") : written;
  if (span.start === null || span.end === null) return [text];
  const points = [...text]; // offsets count characters, not UTF-16 units
  const from = Math.max(span.start - start, 0);
  const to = Math.min(span.end - start, points.length);
  if (from >= to) return [text];
  const part = (a, b) => points.slice(a, b).join("");
  return [part(0, from), h("mark", { id: "passage" }, part(from, to)), part(to)];
}

function sheet(path, rectangles) {
  const image = h("img", { src: `${path}/image`, alt: `Page ${number}; its text follows below` });
  const ready = new Promise((resolve, reject) => {
    image.addEventListener("load", resolve);
    image.addEventListener("error", () => reject(new Error("The image of this page could not be made.")));
  });
  const overlay = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true", class: "marks" })) {
    overlay.setAttribute(name, value);
  }
  for (const [left, top, right, bottom] of rectangles) {
    const box = document.createElementNS(SVG, "rect");
    const shape = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(shape)) box.setAttribute(name, value);
    overlay.append(box);
  }
  return { figure: h("figure.sheet.sheet-image", {}, image, overlay), ready };
}

// Where a page will stand until it is drawn: as tall as the one before it, a sheet of A4 where there was none.
function blank() {
  const before = stage.querySelector(".sheet-image img");
  const place = h("figure.sheet.sheet-image.sheet-blank", {}, "Drawing the page …");
  if (before?.naturalWidth) place.style.aspectRatio = `${before.naturalWidth} / ${before.naturalHeight}`;
  return place;
}

function reveal() {
  const target = stage.querySelector("mark, .marks rect");
  if (target) target.scrollIntoView({ block: "center", inline: "nearest" });
  else stage.scrollTo(0, 0);
}

function enlarge(step) {
  const at = ZOOMS.indexOf(zoom) + step;
  if (at < 0 || at >= ZOOMS.length) return;
  zoom = ZOOMS[at];
  byId("zoom").textContent = `${zoom} %`;
  stage.style.setProperty("--zoom", zoom / 100); // by script: the content security policy refuses style attributes
  byId("smaller").disabled = at === 0;
  byId("larger").disabled = at === ZOOMS.length - 1;
}

const ACTS = {
  ArrowLeft: () => show(number - 1),
  PageUp: () => show(number - 1),
  ArrowRight: () => show(number + 1),
  PageDown: () => show(number + 1),
  Home: () => show(1),
  End: () => show(pages),
  "+": () => enlarge(1),
  "=": () => enlarge(1),
  "-": () => enlarge(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, summary")) return;
  const act = ACTS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
byId("previous").addEventListener("click", () => show(number - 1));
byId("next").addEventListener("click", () => show(number + 1));
byId("page").addEventListener("change", (event) => show(Number(event.target.value) || number));
byId("smaller").addEventListener("click", () => enlarge(-1));
byId("larger").addEventListener("click", () => enlarge(1));
byId("back").addEventListener("click", (event) => {
  // back to the answer that cites this page, where one came from there
  if (history.length > 1 && document.referrer === "" && window.opener === null && performance.getEntriesByType("navigation")[0]?.type === "navigate" && asked.has("start")) {
    event.preventDefault();
    history.back();
  }
});
const part = partWord(viewer.dataset.name);
byId("part").textContent = capitalised(part);
byId("turning").setAttribute("aria-label", `${capitalised(part)}s`);
byId("previous").setAttribute("aria-label", `Previous ${part}`);
byId("next").setAttribute("aria-label", `Next ${part}`);
byId("turning").hidden = part === "part" && pages === 1;
byId("as-text").hidden = !paged;
show(number);

// Citation marks, their preview, and the list of sources below an answer.
import { fill, h } from "./dom.js";
import { capitalised, placeOf } from "./places.js";

const PREVIEW_LIMIT = 420;
let preview = null;
let leaving = 0;

export function viewerPath(citation) {
  const place = new URLSearchParams({ page: citation.page, start: citation.start, end: citation.end });
  return `/documents/${encodeURIComponent(citation.document_id)}?${place}`;
}

export function citationMark(citation) {
  if (!citation.document_id) {
    return h("span.cite.gone", { title: "This source was deleted, or you may no longer read it." }, String(citation.number));
  }
  const where = [citation.document_name, placeOf(citation.document_name, citation.page)].filter(Boolean).join(", ");
  const link = h(
    "a.cite",
    { href: viewerPath(citation), "aria-label": `Source ${citation.number}: ${where}` },
    String(citation.number),
  );
  link.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(link, citation));
  link.addEventListener("focus", () => show(link, citation));
  link.addEventListener("pointerleave", hideSoon);
  link.addEventListener("blur", hideSoon);
  return link;
}

function shortened(text) {
  const plain = text.replace(/\s+/gu, " ").trim();
  return plain.length > PREVIEW_LIMIT ? `${plain.slice(0, PREVIEW_LIMIT).replace(/\s\S*$/u, "")} …` : plain;
}

function show(anchor, citation) {
  clearTimeout(leaving);
  if (!preview) {
    preview = h("div.preview", { role: "tooltip", id: "citation-preview", hidden: true });
    preview.addEventListener("pointerenter", () => clearTimeout(leaving));
    preview.addEventListener("pointerleave", hideSoon);
    document.body.append(preview);
  }
  fill(
    preview,
    h("p.preview-name", {}, citation.document_name),
    placeOf(citation.document_name, citation.page) && h("p.preview-place", {}, capitalised(placeOf(citation.document_name, citation.page))),
    h("blockquote.preview-text", {}, h("mark", {}, shortened(citation.text))),
    h("a.preview-open", { href: viewerPath(citation), tabindex: "-1" }, "Open the source"),
  );
  preview.hidden = false;
  anchor.setAttribute("aria-describedby", "citation-preview");
  const mark = anchor.getBoundingClientRect();
  const box = preview.getBoundingClientRect();
  const left = Math.min(Math.max(8, mark.left + mark.width / 2 - box.width / 2), innerWidth - box.width - 8);
  const above = mark.top - box.height - 8;
  preview.style.left = `${left}px`;
  preview.style.top = `${above > 64 ? above : mark.bottom + 8}px`;
}

function hideSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(hidePreview, 180);
}

export function hidePreview() {
  if (preview) preview.hidden = true;
}

/** The pages (slides, parts) an answer rests on, in the order of first mention, each with the sentences that were cited. */
export function sourceList(citations) {
  const pages = new Map();
  for (const citation of citations) {
    const page = `${citation.document_id}:${citation.page}`;
    if (!pages.has(page)) pages.set(page, new Map());
    const spans = pages.get(page);
    const span = `${citation.number}:${citation.start}:${citation.end}`;
    if (!spans.has(span)) spans.set(span, citation);
  }
  if (pages.size === 0) return null;
  return h(
    "section.sources",
    { "aria-label": "Sources" },
    h("h3", {}, pages.size === 1 ? "Source" : "Sources"),
    h("ol", {}, [...pages.values()].map((spans) => h("li.source", {}, source([...spans.values()])))),
  );
}

/** What comes nearest where the documents hold no answer: links without numbers, since nothing was said that they support. */
export function nearestList(passages) {
  if (passages.length === 0) return null;
  const heading = passages.length === 1 ? "Nearest passage, not close enough to answer from" : "Nearest passages, not close enough to answer from";
  return h(
    "section.sources.nearest",
    { "aria-label": heading },
    h("h3", {}, `${heading}:`),
    h(
      "ul",
      {},
      passages.map((passage) =>
        h(
          "li.source",
          {},
          h("p.source-name", {}, passage.document_name, h("span.source-page", {}, placeOf(passage.document_name, passage.page))),
          h("a.source-span", { href: viewerPath(passage) }, h("span.source-text", {}, shortened(passage.text))),
        ),
      ),
    ),
  );
}

function source(spans) {
  const [{ document_id: id, document_name: name, page }] = spans;
  if (!id) return h("p.source-gone", {}, "This source was deleted, or you may no longer read it.");
  return [
    h("p.source-name", {}, name, h("span.source-page", {}, placeOf(name, page))),
    spans.map((citation) =>
      h(
        "a.source-span",
        { href: viewerPath(citation) },
        h("span.source-number", { "aria-hidden": "true" }, String(citation.number)),
        h("span.source-text", {}, shortened(citation.text)),
      ),
    ),
  ];
}

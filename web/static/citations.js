// Citation marks, their preview, and the list of sources below an answer.
import { fill, h } from "./dom.js";

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
  const link = h(
    "a.cite",
    { href: viewerPath(citation), "aria-label": `Source ${citation.number}: ${citation.document_name}, page ${citation.page}` },
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
    h("p.preview-place", {}, `Page ${citation.page}`),
    h("blockquote.preview-text", {}, h("mark", {}, shortened(citation.text))),
    h("a.preview-open", { href: viewerPath(citation), tabindex: "-1" }, "Open the page"),
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

/** One line per cited passage, in the order of first mention. */
export function sourceList(citations) {
  const seen = new Map();
  for (const citation of citations) {
    const key = `${citation.number}:${citation.start}:${citation.end}`;
    if (!seen.has(key)) seen.set(key, citation);
  }
  if (seen.size === 0) return null;
  return h(
    "section.sources",
    { "aria-label": "Sources" },
    h("h3", {}, seen.size === 1 ? "Source" : "Sources"),
    h("ol", {}, [...seen.values()].map((citation) => h("li", {}, source(citation)))),
  );
}

function source(citation) {
  const number = h("span.source-number", { "aria-hidden": "true" }, String(citation.number));
  if (!citation.document_id) {
    return h("span.source.gone", {}, number, h("span", {}, "This source was deleted, or you may no longer read it."));
  }
  return h(
    "a.source",
    { href: viewerPath(citation) },
    number,
    h(
      "span.source-body",
      {},
      h("span.source-name", {}, citation.document_name, h("span.source-page", {}, `page ${citation.page}`)),
      h("span.source-text", {}, shortened(citation.text)),
    ),
  );
}

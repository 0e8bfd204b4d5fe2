// Answers as elements: paragraphs, lists, bold, code, and citation marks. Everything else stays the text it is; no links, no
// images, and no markup is ever parsed by the browser. Offsets count code points, as the box counts them.
import { h } from "./dom.js";
import { visible } from "./visible.js";

const LIST_ITEM = /^\s*(?:[-*•]|(\d{1,3})[.)])\s+/u;
const HEADING = /^#{1,6}\s+/u;
const FENCE = /^\s*```/u;

function linesOf(points) {
  const lines = [];
  let start = 0;
  for (let at = 0; at <= points.length; at += 1) {
    if (at === points.length || points[at] === "\n") {
      lines.push({ start, end: at, text: points.slice(start, at).join("") });
      start = at + 1;
    }
  }
  return lines;
}

/** The elements of `text`. `mark(citation)` makes the element for a citation mark; without citations `[n]` is shown as it is. */
export function richText(text, citations = [], mark = null) {
  const points = Array.from(text);
  const marks = new Map(citations.map((citation) => [citation.answer_start, citation]));
  const blocks = [];
  let list = null;
  let paragraph = null;
  let code = null;

  const close = () => {
    list = null;
    paragraph = null;
  };

  for (const line of linesOf(points)) {
    if (FENCE.test(line.text)) {
      if (code) code = null;
      else {
        close();
        code = h("pre", {});
        blocks.push(code);
      }
      continue;
    }
    if (code) {
      code.append(`${visible(line.text)}\n`);
      continue;
    }
    if (line.text.trim() === "") {
      close();
      continue;
    }
    const item = LIST_ITEM.exec(line.text);
    const heading = HEADING.exec(line.text);
    const skipped = Array.from((item ?? heading)?.[0] ?? "").length;
    const nodes = inline(points, line.start + skipped, line.end, marks, mark);
    if (item) {
      const kind = item[1] ? "ol" : "ul";
      if (!list || list.localName !== kind) {
        list = h(kind, { start: item[1] && item[1] !== "1" ? item[1] : null });
        blocks.push(list);
      }
      paragraph = null;
      list.append(h("li", {}, nodes));
    } else if (heading) {
      close();
      blocks.push(h("p.answer-heading", {}, nodes));
    } else if (paragraph) {
      paragraph.append(h("br"), ...nodes);
    } else {
      list = null;
      paragraph = h("p", {}, nodes);
      blocks.push(paragraph);
    }
  }
  return blocks;
}

function inline(points, start, end, marks, mark) {
  const nodes = [];
  let text = "";
  const flush = () => {
    if (text) nodes.push(visible(text));
    text = "";
  };
  for (let at = start; at < end; at += 1) {
    const citation = marks.get(at);
    if (citation && mark && citation.answer_end > at) {
      // a mark stays with the word before it, with its neighbours, and with the stop that follows: alone it would begin a line
      const [word] = /\S{0,24}\s*$/u.exec(text);
      text = text.slice(0, text.length - word.length);
      flush();
      const before = nodes.at(-1);
      const joined = before instanceof HTMLElement && before.matches(".joined") && !word.trim() ? before : h("span.joined");
      if (joined !== before) nodes.push(joined);
      joined.append(visible(word), mark(citation));
      at = citation.answer_end - 1;
      while (at + 1 < end && /[.,;:!?)]/u.test(points[at + 1])) joined.append(points[(at += 1)]);
      continue;
    }
    const bold = points[at] === "*" && points[at + 1] === "*";
    const tick = points[at] === "`";
    if (bold || tick) {
      const width = bold ? 2 : 1;
      const stop = closing(points, at + width, end, bold);
      if (stop > at + width) {
        flush();
        const inner = inline(points, at + width, stop, marks, mark);
        nodes.push(bold ? h("strong", {}, inner) : h("code", {}, inner));
        at = stop + width - 1;
        continue;
      }
    }
    text += points[at];
  }
  flush();
  return nodes;
}

function closing(points, from, end, bold) {
  for (let at = from; at < end; at += 1) {
    if (bold ? points[at] === "*" && points[at + 1] === "*" : points[at] === "`") return at;
  }
  return -1;
}

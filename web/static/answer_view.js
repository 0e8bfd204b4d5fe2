// One question, or one answer in any state, as elements.
import { citationMark, nearestList, sourceList } from "./citations.js";
import { fill, h } from "./dom.js";
import { canBeJudged, feedbackView } from "./feedback.js";
import { plural } from "./figures.js";
import { richText } from "./rich_text.js";

const IN_PROGRESS = new Set(["PENDING", "ANSWERING"]);
const STAGES = {
  waiting: "Waiting for its turn",
  searching: "Searching your documents",
  loading: "Loading the language model",
  reading: "Reading the passages",
  writing: "Answering",
  again: "The passages do not support that: trying once more",
  checking: "Checking the citations",
};
const QUOTED = "These sentences of your documents stand, also if you stop now. The model is still looking for words of its own";

export function inProgress(message) {
  return IN_PROGRESS.has(message.status);
}

/** "reading" and "reading 5", "waiting 2", "loading 40%" are understood; a stage of a later version is shown under its own name. */
export function stageText(name) {
  const [word, count] = name.split(/[\s:]+/u);
  if (word === "reading" && count) return `Reading ${count} ${count === "1" ? "passage" : "passages"}`;
  if (word === "waiting" && count) return `Waiting: ${count} ${count === "1" ? "question is" : "questions are"} ahead`;
  if (word === "loading" && count) return `Loading the language model: ${count}`;
  return STAGES[word] ?? name;
}

export function questionView(message) {
  return h("article.question", { "aria-label": "You asked" }, h("p", {}, message.text));
}

/** An answer that can grow: `text`, `stage`, `trouble` and `finish` change what `element` shows. `retry` is called with nothing. */
export class AnswerView {
  constructor(message, { retry }) {
    this.retry = retry;
    this.body = h("div.answer-body", {});
    this.status = h("p.answer-status", {});
    this.foot = h("footer.answer-foot", {});
    this.judged = h("div", {});
    this.element = h("article.answer", { "aria-label": "Answer", "data-message": message.id }, this.body, this.status, this.foot, this.judged);
    this.frame = 0;
    if (inProgress(message)) this.stage("waiting");
    else this.finish(message);
  }

  stage(name) {
    this.element.dataset.stage = name;
    this.element.setAttribute("aria-busy", "true");
    fill(this.status, h("span.pulse", { "aria-hidden": "true" }), h("span", {}, `${this.quoted ? QUOTED : stageText(name)}…`));
    this.status.hidden = false;
  }

  text(text) {
    this.latest = text;
    // what is there before the model has written a word are quotations
    if (text !== "" && !this.quoted && this.element.dataset.stage?.startsWith("reading")) {
      this.quoted = true;
      this.stage(this.element.dataset.stage);
    }
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      fill(this.body, richText(this.latest, marksIn(this.latest), (mark) => h("span.cite.unchecked", {}, String(mark.number))));
      this.element.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
    });
  }

  trouble(text) {
    this.foot.classList.toggle("trouble", text !== "");
    fill(this.foot, text);
  }

  finish(message) {
    cancelAnimationFrame(this.frame);
    this.element.removeAttribute("aria-busy");
    this.element.dataset.status = message.status;
    delete this.element.dataset.stage;
    this.status.hidden = true;
    this.foot.classList.remove("trouble");
    const failed = message.status === "FAILED";
    fill(
      this.body,
      richText(message.text, message.citations, citationMark),
      failed && problemView(message.reason || "The answer could not be written.", this.retry),
      sourceList(message.citations),
      nearestList(message.nearest),
    );
    fill(this.foot, footnote(message));
    fill(this.judged, canBeJudged(message) && feedbackView(message));
  }

  lost(sentence) {
    this.element.removeAttribute("aria-busy");
    this.status.hidden = true;
    fill(this.foot, "");
    this.body.append(problemView(sentence, this.retry, "Look again"));
  }
}

/** Marks of an answer that is still being written: nobody has checked yet what they refer to, so they lead nowhere. */
function marksIn(text) {
  return [...text.matchAll(/\[(\d{1,2})\]/gu)].map((match) => {
    const start = Array.from(text.slice(0, match.index)).length;
    return { number: Number(match[1]), answer_start: start, answer_end: start + match[0].length };
  });
}

/** Whether the last sentence is missing its end, marks of citations aside. */
function isCut(message) {
  const text = message.text.replace(/(\s*\[\d+\])+\s*$/u, "").trimEnd();
  return message.finish_reason === "length" && !/[\p{Po}\p{Pf}\p{Pe}"|]$/u.test(text);
}

function problemView(sentence, retry, label = "Ask again") {
  return h(
    "div.notice.error.answer-problem",
    { role: "alert" },
    h("span", {}, sentence),
    h("button.button.small", { type: "button", onclick: retry }, label),
  );
}

function footnote(message) {
  const { passages_found: found, passages_used: used, model, timing } = message;
  const parts = [];
  if (message.status === "STOPPED") parts.push("Stopped by you");
  if (isCut(message)) parts.push("Cut at the longest length an answer may have");
  if (found > 0) {
    const silent = used === 0 && message.finish_reason === "abstained";
    parts.push(silent ? `${plural(found, "passage")} found, none of them close enough` : readPassages(used, found));
  }
  if (timing.total_ms !== undefined && message.status !== "FAILED") parts.push(seconds(timing.total_ms));
  if (model && message.status === "DONE") parts.push(`model ${model}${message.runtime ? ` through ${message.runtime}` : ""}${inPlace(message.instead_of)}`);
  return parts.map((part) => h("span", {}, part));
}

const inPlace = (models) => (models.length > 0 ? `, in place of ${models.join(" and ")}, which could not be loaded` : "");

function readPassages(used, found) {
  if (used === found) return found === 1 ? "Read the one passage found" : `Read all ${found} passages found`;
  return `Read ${used || "none"} of the ${found} passages found`;
}

function seconds(milliseconds) {
  const value = milliseconds / 1000;
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

// The thumbs below an answer, and what may be said with them. Each click is kept at once; a comment when it is sent.
import { api } from "./api.js";
import { fail, fill, h } from "./dom.js";
import { s } from "./svg.js";

const COMMENT_LIMIT = 500;
/** What may be the matter with an answer, in the words that people choose from and administrators read. */
export const KINDS = {
  citation: "A source does not say it",
  missed: "Not answered, although the documents say it",
  wrong: "The answer is wrong",
  other: "Something else",
};
const THUMB = "M1.5 7.5h2.4v6H1.5zM5.6 7.6 8.4 2c1.1 0 1.8.8 1.6 2l-.5 2.6h3.4c.9 0 1.5.8 1.3 1.7l-1 4c-.2.8-.8 1.2-1.5 1.2H5.6z";
let number = 0;

export function canBeJudged(message) {
  return message.status === "DONE" || message.status === "STOPPED";
}

/** The element below an answer that its person may judge. */
export function feedbackView(message) {
  const path = `/api/messages/${encodeURIComponent(message.id)}/feedback`;
  const id = `feedback-${(number += 1)}`;
  let given = message.feedback;

  const thumbs = [true, false].map((helpful) => thumb(helpful, () => press(helpful).catch(fail)));
  const say = h("button.button.quiet.small", { type: "button", "aria-controls": id, onclick: () => show(form.hidden) });
  const state = h("span.feedback-state", { role: "status" });
  const form = h("form.feedback-form", { id, hidden: true, "aria-label": "Comment on this answer" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send().catch(fail);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  draw();
  return h("div.feedback", {}, h("div.feedback-row", { role: "group", "aria-label": "Was this answer helpful?" }, thumbs, say, state), form);

  function draw(sentence = "") {
    thumbs.forEach((button, at) => button.setAttribute("aria-pressed", String(given?.helpful === (at === 0))));
    say.hidden = !given;
    say.textContent = given?.comment || given?.kind ? "Change the comment" : "Add a comment";
    say.setAttribute("aria-expanded", String(!form.hidden));
    state.textContent = sentence;
  }

  // A second press takes all of it back; the other thumb is a new judgement, and what was said with the first goes.
  async function press(helpful) {
    const taken = given?.helpful === helpful;
    given = taken ? await api.delete(path) : await api.put(path, { helpful });
    if (taken) show(false);
    else show(true);
    draw(taken ? "Taken back." : "Thank you.");
  }

  async function send() {
    const said = new FormData(form);
    const submit = form.querySelector("button:not([type])");
    submit.disabled = true;
    try {
      given = await api.put(path, { helpful: given.helpful, kind: said.get("kind") ?? "", comment: said.get("comment"), shared: said.has("shared") });
    } finally {
      submit.disabled = false;
    }
    close(given.shared ? "Thank you. The administrators can see the question and this answer." : "Thank you.");
  }

  function close(sentence = "") {
    show(false);
    draw(sentence);
    say.focus();
  }

  function show(open) {
    form.hidden = !open;
    if (open) {
      fill(form, fields(given, id), h("div.feedback-actions", {}, h("button.button.primary.small", {}, "Send"), h("button.button.quiet.small", { type: "button", onclick: () => close() }, "Not now")));
      form.scrollIntoView({ block: "nearest" });
    }
    say.setAttribute("aria-expanded", String(open));
  }
}

function thumb(helpful, onclick) {
  const label = helpful ? "Helpful" : "Not helpful";
  const icon = s("svg", { class: helpful ? "thumb-up" : "thumb-down", viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: THUMB }));
  return h("button.thumb", { type: "button", "aria-label": label, title: label, onclick }, icon);
}

function fields(given, id) {
  return [
    !given.helpful &&
      h(
        "fieldset.field",
        {},
        h("legend", {}, "What is the matter? (optional)"),
        Object.entries(KINDS).map(([kind, label]) => h("label.check", {}, h("input", { type: "radio", name: "kind", value: kind, checked: given.kind === kind }), h("span", {}, label))),
      ),
    h(
      "div.field",
      {},
      h("label", { for: `${id}-comment` }, "Comment (optional)"),
      h("textarea", { id: `${id}-comment`, name: "comment", rows: 2, maxlength: COMMENT_LIMIT, value: given.comment, "aria-describedby": `${id}-hint` }),
      h("p.hint", { id: `${id}-hint` }, `Up to ${COMMENT_LIMIT} characters. Administrators read it without your name.`),
    ),
    h(
      "label.check",
      {},
      h("input", { type: "checkbox", name: "shared", checked: given.shared }),
      h("span", {}, "Show the question and this answer to the administrators", h("span.hint", {}, "Without it they see neither. The answer is shown only to those who may read its documents, too.")),
    ),
  ];
}

// What a new conversation shows before its first question.
import { h } from "./dom.js";
import { plural } from "./figures.js";

const SAMPLE = "Sample handbook";
const SAMPLE_QUESTIONS = JSON.parse(document.getElementById("chat").dataset.suggestions);

const HINTS = [
  ["Ask in a whole sentence", "“How many days of leave do I have?” finds more than “leave”."],
  ["Follow up", "“And in the second year?” is understood from what you asked before."],
  ["Check the source", "Each numbered mark opens the document it came from, with the passage marked."],
];

export function emptyState(scope, ask) {
  if (scope.documentCount === 0) {
    return h(
      "section.welcome",
      {},
      h("h2", {}, "There is nothing to ask yet"),
      h("p", {}, "You can read no documents so far. Upload the first ones, or ask an administrator for a collection."),
      h("p", {}, h("a.button.primary", { href: "/documents" }, "Upload documents")),
    );
  }
  const sample = scope.collections.some((collection) => collection.name === SAMPLE && collection.document_count > 0);
  return h(
    "section.welcome",
    {},
    h("h2", {}, "What would you like to know?"),
    h("p.welcome-lead", {}, `Answers come from the ${plural(scope.documentCount, "document")} you may read, and never leave this box.`),
    sample &&
      h(
        "ul.suggestions",
        { "aria-label": "Questions to try" },
        SAMPLE_QUESTIONS.map((text) => h("li", {}, h("button.suggestion", { type: "button", onclick: () => ask(text) }, text))),
      ),
    h(
      "ul.hints",
      {},
      HINTS.map(([head, text]) => h("li", {}, h("strong", {}, head), h("span", {}, text))),
    ),
  );
}

// What golden sets say of the index of an embedding model, beside the one that served when they were asked.
import { api } from "./api.js";
import { fail, fill, h } from "./dom.js";

const place = (value) => (value === null ? "not found" : `place ${value}`);

const question = (moved) => h("li", {}, moved.text, h("span.muted.small", {}, ` ${place(moved.before)}, now ${place(moved.now)}`));

const questions = (title, moved) => moved.length > 0 && [h("h4", {}, title), h("ul", {}, moved.map(question))];

function ofSet(found, over) {
  const verdict = over ? "spoke against it" : "speaks against it";
  const counts = `Expected passage first: ${found.first_before}, now ${found.first}. Among the first ${found.depth}: ${found.found_before}, now ${found.found}. Of ${found.compared} questions.`;
  return h(
    "section.comparison",
    { "data-compared": found.set_id },
    h("h3", {}, found.name, " ", h("span.badge", { class: found.stands_against ? "bad" : "ok" }, found.stands_against ? verdict : "no objection")),
    h("p.hint", {}, found.reason || counts),
    questions("Got worse", found.worse),
    questions("Got better", found.better),
  );
}

/** A part of a card that is read when it is opened, since each look at golden questions is on record; nothing where none can be. */
export function comparison(model, index) {
  if (!index || !(index.against || (index.state === "serving" && index.number > 1))) return null;
  const content = h("div", {});
  const details = h("details", {}, h("summary", {}, "What golden sets say of it"), content);
  const read = async () => {
    const sets = await api.get(`/api/models/${encodeURIComponent(model.id)}/comparison`);
    fill(content, sets.length > 0 ? sets.map((found) => ofSet(found, index.state === "serving")) : h("p.hint", {}, "No golden set that you may read was asked."));
  };
  details.addEventListener("toggle", () => details.open && read().catch(fail));
  return details;
}

// What people say about answers, as administrators may see it: a part of the page Quality. Each look is audited.
import { api } from "./api.js";
import { byId, fail, fill, h, pair, toast } from "./dom.js";
import { questionFields, questionOf } from "./evaluation_set.js";
import { KINDS } from "./feedback.js";
import { asked } from "./form_dialog.js";

function voice({ day_ms: day, helpful, kind, comment, shown }) {
  return h(
    "li.card.voice",
    {},
    h(
      "p.voice-head",
      {},
      h("span.badge", { class: helpful ? "ok" : "bad" }, helpful ? "helpful" : "not helpful"),
      kind && h("span", {}, KINDS[kind] ?? kind),
      h("time.muted.small", { datetime: new Date(day).toISOString().slice(0, 10) }, new Date(day).toISOString().slice(0, 10)),
    ),
    comment && h("blockquote.voice-comment", {}, comment),
    shown && h("dl.voice-exchange", {}, pair("Question", shown.question), pair("Answer", shown.answer ?? h("span.muted", {}, "It rests on documents that you may not read."))),
    shown && h("button.button.small.voice-golden", { type: "button", onclick: () => take(shown).catch(fail) }, "Add to a golden set"),
  );
}

// The question may be reworded: what leaned on the one before it must stand alone there.
async function take(shown) {
  const near = (set) => Number(shown.collection_ids.includes(set.collection_id));
  const sets = (await api.get("/api/golden")).sort((one, other) => near(other) - near(one));
  if (sets.length === 0) {
    toast("There is no golden set of a collection that you may read. Make one under Evaluation.");
    return;
  }
  const choice = h("select", { id: "golden-set" }, sets.map((set) => h("option", { value: set.id }, set.name)));
  const fields = h("div");
  const draw = async () => {
    const { documents } = await api.get(`/api/golden/${choice.value}`);
    fill(fields, questionFields({ text: shown.question, answers: [], document: "", page: null, silent: false }, documents));
  };
  await draw();
  choice.addEventListener("change", () => draw().catch(fail));
  await asked("Add to a golden set", [h("div.field", {}, h("label", { for: "golden-set" }, "Golden set"), choice), fields], "Add", async (form) => {
    await api.post(`/api/feedback/${shown.message_id}/golden/${choice.value}`, questionOf(form));
    toast(`The question is part of ${choice.selectedOptions[0].textContent} now.`);
  });
}

/** Fills the part of the page; `page` counts from the newest. */
export async function showVoices(page = 1) {
  const found = await api.get(`/api/feedback?page=${page}`);
  const list = byId("voices");
  if (page === 1) {
    const kinds = Object.entries(found.kinds).filter(([, count]) => count > 0);
    fill(byId("voice-counts"), pair("Helpful", found.helpful), pair("Not helpful", found.unhelpful), kinds.map(([kind, count]) => pair(KINDS[kind] ?? kind, count)));
    fill(list, found.page.length === 0 && h("li.empty", {}, "Nobody has left a comment yet."));
  }
  const added = found.page.map(voice);
  list.append(...added);
  const more = byId("more");
  more.hidden = !found.more;
  more.onclick = () => showVoices(page + 1).catch(fail);
  if (page > 1) {
    added[0]?.setAttribute("tabindex", "-1");
    added[0]?.focus();
  }
}

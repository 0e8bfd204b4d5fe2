// One golden set: its questions, its runs, when it is asked.
import { api } from "./api.js";
import { confirmed, fail, fill, h, toast } from "./dom.js";
import { moment } from "./figures.js";
import { asked } from "./form_dialog.js";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const CAUSES = { manual: "by hand", schedule: "by its schedule", activation: "before an activation" };
const at = (hour) => `${String(hour).padStart(2, "0")}:00`;
export const inWork = (run) => ["PENDING", "RUNNING"].includes(run.status);
const changed = () => document.dispatchEvent(new Event("golden-changed"));

/** When a set is asked by itself, in words. */
export function schedule(set) {
  if (set.schedule === "daily") return `every day at ${at(set.hour)}`;
  return set.schedule === "weekly" ? `every ${DAYS[set.weekday]} at ${at(set.hour)}` : "asked by hand";
}

/** How a run ended, or how far it is. */
export function verdict(run) {
  if (inWork(run)) {
    const words = run.status === "PENDING" ? "waiting" : `${run.done} of ${run.total} asked`;
    return h("span.golden-bar", {}, h("progress", { max: Math.max(run.total, 1), value: run.done, "data-run": run.id, "aria-label": "Questions asked" }), h("span.small.muted", { "data-run-words": run.id }, words));
  }
  if (run.status === "FAILED") return [h("span.badge.bad", {}, "failed"), " ", run.reason];
  if (run.status === "STOPPED") return h("span.badge", {}, `stopped after ${run.done}`);
  const right = `${run.figures.right} of ${run.figures.questions} right`;
  const worse = run.worse > 0 && h("span.badge", { class: run.regressed ? "bad" : "work" }, `${run.worse} got worse`);
  return [h("span.badge", { class: run.regressed ? "" : "ok" }, right), " ", worse, " ", run.better > 0 && h("span.badge.ok", {}, `${run.better} got better`)];
}

function expects({ silent, answers, document: name, page }) {
  if (silent) return h("span.badge.accent", {}, "silence");
  return h(
    "span.golden-expects",
    {},
    answers.map((answer) => h("span.badge", {}, `“${answer}”`)),
    name && h("span.badge.accent", {}, page ? `${name}, page ${page}` : name),
  );
}

/** Fields for a question and what is expected of its answer; `documents` are the names that can be cited. */
export function questionFields(question, documents) {
  const area = (id, name, value, hint) => [h("label", { for: id }, hint.label), h("textarea", { id, name, rows: 2, value, "aria-describedby": `${id}-hint`, required: hint.required }), h("p.hint", { id: `${id}-hint` }, hint.text)];
  const choice = h("select", { id: "golden-document", name: "document" }, h("option", { value: "" }, "any"), documents.map((name) => h("option", { value: name }, name)));
  choice.value = question.document;
  const silent = h("input", { type: "checkbox", name: "silent", checked: question.silent });
  const expected = [
    h("div.field", {}, area("golden-answers", "answers", question.answers.join("\n"), { label: "Expected in the answer", text: "One of these must stand in it, word for word. One on each line." })),
    h(
      "div.golden-schedule",
      {},
      h("div.field", {}, h("label", { for: "golden-document" }, "Must cite"), choice),
      h("div.field", {}, h("label", { for: "golden-page" }, "On page"), h("input", { id: "golden-page", name: "page", type: "number", min: 1, value: question.page ? String(question.page) : "" })),
    ),
  ];
  const part = h("div", { hidden: question.silent }, expected);
  silent.addEventListener("change", () => (part.hidden = silent.checked));
  return [
    h("div.field", {}, area("golden-text", "text", question.text, { label: "Question", text: "As a person would ask it, without anything asked before.", required: true })),
    h("div.field", {}, h("label.check", {}, silent, h("span", {}, "Silence is right", h("span.hint", {}, "The documents do not hold the answer, and the box must say so.")))),
    part,
  ];
}

export function questionOf(form) {
  const silent = form.get("silent") !== null;
  const answers = silent ? [] : form.get("answers").split("\n").map((line) => line.trim()).filter(Boolean);
  return { text: form.get("text"), silent, answers, document: silent ? "" : form.get("document"), page: silent || !form.get("page") ? null : Number(form.get("page")) };
}

const EMPTY = { text: "", answers: [], document: "", page: null, silent: false };

const addQuestion = (set, documents) =>
  asked("New question", questionFields(EMPTY, documents), "Add", async (form) => {
    await api.post(`/api/golden/${set.id}/questions`, questionOf(form));
    changed();
  });

const changeQuestion = (set, question, documents) =>
  asked("Change the question", questionFields(question, documents), "Save", async (form) => {
    await api.patch(`/api/golden/${set.id}/questions/${question.id}`, questionOf(form));
    changed();
  });

async function removeQuestion(set, question) {
  if (!(await confirmed("Delete this question?", { detail: question.text }))) return;
  await api.delete(`/api/golden/${set.id}/questions/${question.id}`);
  changed();
}

async function takeIn(set, file) {
  const form = /\.json$/i.test(file.name) ? "json" : "csv";
  const { added } = await api.post(`/api/golden/${set.id}/import?form=${form}`, file, { raw: true });
  toast(added === 1 ? "1 question was added." : `${added} questions were added.`);
  changed();
}

function settings(set) {
  const select = (id, name, options, value) => {
    const made = h("select", { id, name }, options.map(([key, title]) => h("option", { value: String(key) }, title)));
    made.value = String(value);
    return made;
  };
  const fields = [
    h("div.field", {}, h("label", { for: "golden-name" }, "Name"), h("input", { id: "golden-name", name: "name", type: "text", required: true, maxlength: 200, value: set.name })),
    h("div.field", {}, h("label.check", {}, h("input", { type: "checkbox", name: "required", checked: set.required }), h("span", {}, "Required", h("span.hint", {}, "Asked before a language model is activated; a regression blocks it.")))),
    h(
      "div.golden-schedule",
      {},
      h("div.field", {}, h("label", { for: "golden-often" }, "Asked"), select("golden-often", "schedule", [["off", "by hand"], ["daily", "every day"], ["weekly", "every week"]], set.schedule)),
      h("div.field", {}, h("label", { for: "golden-hour" }, "At"), select("golden-hour", "hour", Array.from({ length: 24 }, (_, hour) => [hour, at(hour)]), set.hour)),
      h("div.field", {}, h("label", { for: "golden-day" }, "On"), select("golden-day", "weekday", DAYS.map((day, number) => [number, day]), set.weekday)),
    ),
    h("p.hint", {}, "By the clock of the box. Scheduled runs search on behalf of whoever set the schedule last."),
  ];
  return asked("Settings", fields, "Save", async (form) => {
    const change = { name: form.get("name"), required: form.get("required") !== null };
    const times = { schedule: form.get("schedule"), hour: Number(form.get("hour")), weekday: Number(form.get("weekday")) };
    const moved = Object.entries(times).some(([key, value]) => set[key] !== value);
    await api.patch(`/api/golden/${set.id}`, { ...change, ...(moved ? times : {}) });
    changed();
  });
}

async function runNow(set) {
  const versions = (await api.get("/api/models")).filter((model) => model.kind === "language" && model.state !== "retired" && model.state !== "active");
  if (versions.length === 0) return start(set, "");
  const choice = h("select", { id: "golden-version", name: "version" }, h("option", { value: "" }, "what answers now"), versions.map((model) => h("option", { value: model.id }, `${model.id} (${model.state})`)));
  return asked("Ask the questions", [h("div.field", {}, h("label", { for: "golden-version" }, "With"), choice)], "Ask", (form) => start(set, form.get("version")));
}

async function start(set, version) {
  await api.post(`/api/golden/${set.id}/runs`, { version_id: version });
  changed();
}

async function remove(set) {
  if (!(await confirmed(`Delete ${set.name}?`, { detail: "Its questions and all that came of asking them are deleted." }))) return;
  await api.delete(`/api/golden/${set.id}`);
  location.hash = "";
}

async function stop(run) {
  await api.post(`/api/golden/runs/${run.id}/stop`);
  changed();
}

function runLine(run, baseline) {
  const by = Object.keys(run.figures).length && run.conditions.answered_by?.length ? run.conditions.answered_by.join(", ") : "";
  return h(
    "tr",
    { "data-run-line": run.id },
    h("td", { "data-label": "When" }, h("span", {}, inWork(run) ? moment(run.created_ms) : h("a", { href: `#run=${run.id}` }, moment(run.created_ms)), h("span.muted.small", {}, ` ${CAUSES[run.cause]}`))),
    h("td", { "data-label": "With" }, h("span", {}, run.version_id || by || "what answers now", run.version_id && [" ", h("span.badge", {}, "on trial")])),
    h("td", { "data-label": "Result" }, h("span.golden-result", {}, verdict(run), run.id === baseline && [" ", h("span.badge.accent", {}, "baseline")])),
    h("td.actions", {}, inWork(run) && h("button.button.quiet.small", { type: "button", onclick: () => stop(run).catch(fail) }, "Stop")),
  );
}

function questionLine(set, question, documents) {
  return h(
    "tr",
    { "data-question": question.id },
    h("td", { "data-label": "Question" }, question.text),
    h("td", { "data-label": "Expected" }, expects(question)),
    h(
      "td.actions",
      {},
      h("button.button.quiet.small", { type: "button", "aria-label": `Change: ${question.text}`, onclick: () => changeQuestion(set, question, documents).catch(fail) }, "Change"),
      h("button.button.quiet.small", { type: "button", "aria-label": `Delete: ${question.text}`, onclick: () => removeQuestion(set, question).catch(fail) }, "Delete"),
    ),
  );
}

const table = (caption, heads, rows) =>
  h(
    "div.table-wrap",
    {},
    h("table.table.stacking", {}, h("caption.visually-hidden", {}, caption), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head || h("span.visually-hidden", {}, "Actions"))))), h("tbody", {}, rows)),
  );

/** Fills `place`; whether a run of the set is in the works. */
export async function showSet(place, id, collectionName) {
  const { set, questions, runs, documents } = await api.get(`/api/golden/${id}`);
  const file = h("input.visually-hidden", { type: "file", accept: ".csv,.json", tabindex: "-1", "aria-hidden": "true", onchange: (event) => takeIn(set, event.target.files[0]).catch(fail) });
  const act = (label, handler, kind = "") => h("button.button.small", { type: "button", class: kind, onclick: () => handler() }, label);
  fill(
    place,
    h("a.golden-back", { href: "#" }, "← All golden sets"),
    h("div.golden-head", {}, h("h2", {}, set.name), set.required && h("span.badge.accent", {}, "required")),
    h("p.muted.small", {}, `${collectionName(set.collection_id)} · ${schedule(set)}${set.due_ms ? `, next ${moment(set.due_ms)}` : ""}`),
    h(
      "div.golden-bar",
      {},
      h("button.button.small.primary", { type: "button", disabled: questions.length === 0 || runs.some(inWork), onclick: () => runNow(set).catch(fail) }, "Run now"),
      act("Settings", () => settings(set).catch(fail)),
      act("Delete", () => remove(set).catch(fail), "danger"),
    ),
    h("section.golden-section", {}, h("h3", {}, "Runs"), runs.length > 0 ? table("Runs", ["When", "With", "Result", ""], runs.map((run) => runLine(run, set.baseline_id))) : h("p.hint", {}, "Not asked yet. The first run is what later ones are compared with.")),
    h(
      "section.golden-section",
      {},
      h("h3", {}, `Questions (${questions.length})`),
      h("div.golden-bar", {}, act("Add a question", () => addQuestion(set, documents).catch(fail)), act("Import a file", () => file.click()), file, questions.length > 0 && h("a.button.small", { href: `/api/golden/${set.id}/export`, download: "" }, "Export as CSV")),
      questions.length > 0
        ? table("Questions", ["Question", "Expected", ""], questions.map((question) => questionLine(set, question, documents)))
        : h("p.hint", {}, "Import takes CSV (columns question, answers, document, page, silent) and JSON in SQuAD’s form."),
    ),
  );
  return runs.some(inWork);
}

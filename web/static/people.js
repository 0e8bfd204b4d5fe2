// Accounts and roles, for administrators.
import { api } from "./api.js";
import { byId, confirmed, fail, fill, h, toast } from "./dom.js";
import { field, revealable } from "./fields.js";
import { asked, told } from "./form_dialog.js";
import { moment, plural } from "./figures.js";

const ROLES = [
  ["employee", "Employee", "asks questions and uploads documents"],
  ["officer", "Compliance officer", "searches and exports the audit log, holds people, erases what is sealed of deleted accounts"],
  ["administrator", "Administrator", "runs the box: people, collections, models"],
];
const rows = byId("people");
const { provider } = rows.dataset;
const WAYS = { allowed: "by provider, not yet seen", linked: "by provider" };

async function load() {
  const people = await api.get("/api/people");
  fill(rows, people.map(line));
}

function line(person) {
  const act = (label, handler, kind = "") =>
    h("button.button.quiet.small", { type: "button", class: kind, "aria-label": `${label}: ${person.name}`, onclick: () => handler(person).catch(fail) }, label);
  return h(
    "tr",
    { "data-person": person.id },
    h("td", {}, h("strong", {}, person.name), person.is_you && " (you)"),
    h("td", { "data-label": "Roles" }, person.roles.length ? h("span.badges", {}, person.roles.map((role) => h("span.badge", {}, role))) : "none"),
    h("td", { "data-label": "State" }, h("span.badges", {}, h("span.badge", { class: person.disabled ? "bad" : "ok" }, person.disabled ? "disabled" : "active"), person.second_factor && h("span.badge.ok", {}, "second factor"), person.keys > 0 && h("span.badge", {}, plural(person.keys, "API key")), person.provider && h("span.badge", {}, WAYS[person.provider]))),
    h("td.nowrap", { "data-label": "Since" }, moment(person.created_ms)),
    h("td.actions", {}, act("Roles", changeRoles), act("Password", resetPassword), person.second_factor && !person.is_you && act("Remove second factor", removeFactor), person.keys > 0 && act("End API keys", endKeys), person.provider ? act("Unlink", unlink) : provider && act("Let in by provider", letIn), person.disabled ? [act("Enable", enable), act("Delete", deleteAccount)] : !person.is_you && act("Disable", disable)),
  );
}

function roleChoice(chosen) {
  return h(
    "fieldset.field",
    {},
    h("legend", {}, "Roles"),
    ROLES.map(([role, title, purpose]) =>
      h("label.check", {}, h("input", { type: "checkbox", name: "roles", value: role, checked: chosen.includes(role) }), h("span", {}, title, h("span.hint", {}, ` ${purpose}`))),
    ),
  );
}

function passwordField() {
  const hint = "At least 12 characters. Hand it over in person, to be changed under Your account; there is no mail from this box.";
  return revealable(field("new-password", "Password", { name: "password", type: "password", minlength: 12, autocomplete: "new-password" }, hint));
}

function create() {
  const name = field("new-name", "Name to sign in with", { name: "name", type: "text", maxlength: 200 });
  const fields = [name, passwordField(), roleChoice(["employee"])];
  return asked("Add a person", fields, "Add", async (form) => {
    await api.post("/api/people", { name: form.get("name"), password: form.get("password"), roles: form.getAll("roles") });
    toast(`${form.get("name")} can sign in now.`);
    await load();
  });
}

const update = async (person, change, sentence) => {
  await api.patch(`/api/people/${person.id}`, change);
  toast(sentence);
  await load();
};

const changeRoles = (person) =>
  asked(`Roles of ${person.name}`, [roleChoice(person.roles)], "Save", (form) => update(person, { roles: form.getAll("roles") }, "Roles saved."));

const resetPassword = (person) =>
  asked(`New password for ${person.name}`, [passwordField(), h("p", {}, "They are signed out everywhere, and their API keys end.")], "Set password", (form) =>
    update(person, { password: form.get("password") }, `${person.name} was signed out everywhere and has a new password. API keys of theirs have ended.`),
  );

async function removeFactor({ id, name }) {
  const detail = "For somebody who lost the phone and the recovery codes: be sure that it is they who ask. They are signed out everywhere, and their password alone lets them in until they set up another one.";
  if (!(await confirmed(`Remove the second factor of ${name}?`, { detail, yes: "Remove" }))) return;
  await api.delete(`/api/people/${id}/second-factor`);
  toast(`${name} signs in with the password alone now.`);
  await load();
}

async function endKeys({ id, name, keys }) {
  const detail = `Programs that act as ${name} by ${keys === 1 ? "it" : "them"} are refused from their next request on. ${name} can make new ones; who is disabled, or given a new password, has lost them already.`;
  if (!(await confirmed(`End ${plural(keys, "API key")} of ${name}?`, { detail, yes: "End" }))) return;
  const { ended } = await api.delete(`/api/people/${id}/keys`);
  toast(`${plural(ended, "API key")} of ${name} ended.`);
  await load();
}

async function letIn({ id, name }) {
  const detail = `Whoever ${provider} calls ${name} at the first sign-in has this account from then on, whatever their name becomes. The password and API keys of ${name} end now, and they are signed out everywhere.`;
  if (!(await confirmed(`Let ${name} in by ${provider}?`, { detail, yes: "Let in" }))) return;
  await api.post(`/api/people/${id}/provider`);
  toast(`${name} signs in with ${provider} from now on.`);
  await load();
}

async function unlink({ id, name }) {
  const detail = `The identity provider lets ${name} in no longer; they are signed out everywhere, and their API keys end. Set a password for them to sign in with.`;
  if (!(await confirmed(`Unlink ${name} from the identity provider?`, { detail, yes: "Unlink" }))) return;
  await api.delete(`/api/people/${id}/provider`);
  toast(`${name} is not let in by the identity provider any more.`);
  await load();
}

async function disable(person) {
  const detail = "The account is signed out everywhere and cannot sign in again until you enable it; its API keys end for good. Documents and conversations stay; once disabled, it can be deleted with them.";
  if (await confirmed(`Disable ${person.name}?`, { detail, yes: "Disable" })) await update(person, { disabled: true }, `${person.name} is disabled.`);
}

const enable = (person) => update(person, { disabled: false }, `${person.name} can sign in again.`);

// What goes is said in the sentence and agreed to by its own box; what stays is said before and after, as `cloister users delete` says it.
async function deleteAccount({ id, name }) {
  const { conversations, documents, shared_documents: shared } = await api.get(`/api/people/${id}/belongings`);
  const staying = () => [
    h("p", {}, "What stays:"),
    h(
      "ul.staying",
      {},
      shared > 0 && h("li", {}, `${plural(shared, "document")} put into shared collections`),
      h("li", {}, "questions that they showed to administrators and that were taken into golden sets, if any"),
      h("li", {}, "backups made until now, copies that upgrades keep for 30 days, and what was exported of the audit log"),
      h("li", {}, "what they wrote and were called, sealed in the audit log, until an officer erases it"),
    ),
  ];
  const going = [conversations > 0 && plural(conversations, "conversation"), documents > 0 && plural(documents, "document")].filter(Boolean);
  const agreed = h("label.check", {}, h("input", { type: "checkbox", name: "with", required: true }), h("span", {}, `Delete ${going.join(" and ")} of their own, too`, h("span.hint", {}, " Nobody will find or open any of it from then on.")));
  const fields = [
    h("p", {}, "The account, its roles, groups and grants will be gone for good, and its name is free for another one."),
    going.length > 0 && h("div.field", {}, agreed),
    staying(),
  ];
  let gone = false;
  const save = async () => {
    await api.delete(`/api/people/${id}`, { body: { conversations, documents } });
    gone = true;
  };
  await asked(`Delete ${name}?`, fields, "Delete", save, { danger: true });
  await load(); // also where the numbers have changed
  if (gone) await told(`${name} was deleted`, staying());
}

byId("add").addEventListener("click", () => create().catch(fail));
load().then(() => (byId("add").disabled = false), fail);

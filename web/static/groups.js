// Groups of people, for administrators.
import { api } from "./api.js";
import { byId, confirmed, fail, fill, h, toast } from "./dom.js";
import { plural } from "./figures.js";
import { asked } from "./form_dialog.js";

const SHOWN = 6; // names in a row of the table; the dialog holds all
let people = [];

async function load() {
  const [groups, accounts] = await Promise.all([api.get("/api/groups"), api.get("/api/people")]);
  people = accounts;
  fill(byId("groups"), groups.map(line));
  byId("no-groups").hidden = groups.length > 1;
}

const badges = (names) => (names.length ? h("span.badges", {}, names.map((name) => h("span.badge", {}, name))) : h("span.muted", {}, "nothing"));

function membersOf(group) {
  if (group.built_in) return h("span", {}, `everybody, ${plural(group.member_count, "account")}`);
  if (!group.members.length) return h("span.muted", {}, "nobody");
  const names = group.members.slice(0, SHOWN).map(({ name, disabled }) => h("span.badge", { class: disabled ? "bad" : "" }, disabled ? `${name}, disabled` : name));
  const rest = group.member_count - names.length;
  return h("span.badges", {}, h("span.badge.accent", {}, String(group.member_count)), names, rest > 0 && h("span.muted", {}, `and ${rest} more`));
}

function line(group) {
  const act = (label, handler) =>
    h("button.button.quiet.small", { type: "button", "aria-label": `${label}: ${group.name}`, onclick: () => handler(group).catch(fail) }, label);
  return h(
    "tr",
    { "data-group": group.id },
    h("td", {}, h("strong", {}, group.name)),
    h("td", { "data-label": "Members" }, membersOf(group)),
    h("td", { "data-label": "Opened to it" }, badges(group.collections)),
    h("td", { "data-label": "Tries out" }, badges(group.models)),
    h("td.actions", {}, group.built_in ? h("span.hint", {}, "Stays as it is.") : [act("Members", changeMembers), act("Rename", rename), act("Delete", remove)]),
  );
}

const nameField = (value) =>
  h("div.field", {}, h("label", { for: "group-name" }, "Name"), h("input", { id: "group-name", name: "name", type: "text", required: true, maxlength: 200, value, autocomplete: "off" }));

function memberChoice(chosen) {
  const box = ({ id, name, disabled, roles }) =>
    h("label.check", {}, h("input", { type: "checkbox", name: "people", value: id, checked: chosen.has(id) }), h("span", {}, name, h("span.hint", {}, disabled ? " disabled" : roles.includes("employee") ? "" : " reads no documents")));
  return h("fieldset.field", {}, h("legend", {}, "Members"), h("div.choices", {}, people.map(box)));
}

async function create() {
  await asked("New group", [nameField(""), memberChoice(new Set())], "Create", async (form) => {
    await api.post("/api/groups", { name: form.get("name"), people: form.getAll("people") });
    toast(`${form.get("name")} was created.`);
  });
  await load();
}

// As it is now: others make changes, too, and what a dialog says must be true when it is agreed to.
async function fresh({ id, name }) {
  const found = (await api.get("/api/groups")).find((group) => group.id === id);
  people = await api.get("/api/people"); // after the group: a member without a box in the dialog would be taken out by it
  if (found) return found;
  await load();
  throw new Error(`${name} was deleted meanwhile.`);
}

// What is sent is who joins and who leaves, so that two administrators at once do not undo each other.
async function changeMembers(group) {
  const { id, name, members, collections } = await fresh(group);
  const before = new Set(members.map((member) => member.id));
  const opened = collections.length > 0 && h("p", {}, "Opened to this group: ", collections.join(", "), ". Employees in it may read that.");
  await asked(`Members of ${name}`, [opened, memberChoice(before)], "Save", async (form) => {
    const now = new Set(form.getAll("people"));
    const joining = [...now].filter((person) => !before.has(person));
    const leaving = [...before].filter((person) => !now.has(person));
    if (joining.length) await api.post(`/api/groups/${id}/members`, { people: joining });
    joining.forEach((person) => before.add(person)); // where the second half fails, the first is done
    if (leaving.length) await api.delete(`/api/groups/${id}/members`, { body: { people: leaving } });
    toast("Saved.");
  });
  await load();
}

async function rename({ id, name }) {
  await asked(`Rename ${name}`, [nameField(name)], "Save", async (form) => {
    await api.patch(`/api/groups/${id}`, { name: form.get("name") });
    toast("Saved.");
  });
  await load();
}

async function remove(group) {
  const { id, name, member_count: count, collections } = await fresh(group);
  const closed = collections.length ? `${plural(collections.length, "collection")} will be closed to ${count === 1 ? "its member" : `its ${count} members`}, unless they may read by another way: ${collections.join(", ")}.` : "No collection is opened to it.";
  if (!(await confirmed(`Delete ${name}?`, { detail: `${closed} The accounts stay.` }))) return;
  await api.delete(`/api/groups/${id}`);
  toast(`${name} was deleted.`);
  await load();
}

byId("add").addEventListener("click", () => create().catch(fail));
load().then(() => (byId("add").disabled = false), fail);

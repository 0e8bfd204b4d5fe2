// Shared collections and who may read and fill them, for administrators.
import { api } from "./api.js";
import { USUAL } from "./classification.js";
import { byId, fail, fill, h, toast } from "./dom.js";
import { plural } from "./figures.js";
import { asked } from "./form_dialog.js";
import { changeDays, span } from "./retention.js";

const EVERYONE = "group:everyone";
let grantees = []; // { key, name, count }: the groups, everyone first, then the people, who have no count

async function load() {
  const [collections, people, groups] = await Promise.all([api.get("/api/admin/collections"), api.get("/api/people"), api.get("/api/groups")]);
  grantees = [
    ...groups.map((group) => ({ key: `group:${group.id}`, name: group.name, count: group.member_count })),
    ...people.filter((person) => person.roles.includes("employee")).map((person) => ({ key: `principal:${person.id}`, name: person.name })),
  ];
  const shared = collections.filter((collection) => !collection.personal);
  fill(byId("shared"), shared.map(line));
  byId("no-shared").hidden = shared.length > 0;
  const employees = new Set(grantees.filter(isPerson).map(({ name }) => name)); // the others may not open theirs, nor put anything in
  fill(byId("personal"), collections.filter((collection) => collection.personal && employees.has(collection.owner)).map((collection) => h("li", {}, collection.name, h("span.muted", {}, ` · ${collection.owner}`))));
}

const isPerson = ({ count }) => count === undefined;
const find = (key) => grantees.find((grantee) => grantee.key === key) ?? { key, name: "a former colleague" };
const label = ({ key, name, count }) => (count === undefined || key === EVERYONE ? name : `${name} (${plural(count, "member")})`);

function names(keys) {
  if (!keys.length) return h("span.muted", {}, "nobody");
  const place = (grantee) => (grantee.key === EVERYONE ? 0 : isPerson(grantee) ? 2 : 1);
  const sorted = keys.map(find).sort((a, b) => place(a) - place(b));
  return h("span.badges", {}, sorted.map((grantee) => h("span.badge", { class: isPerson(grantee) ? "" : "accent" }, label(grantee))));
}

function line(collection) {
  return h(
    "tr",
    { "data-collection": collection.id },
    h("td", {}, h("strong", {}, collection.name)),
    h("td", { "data-label": "May read" }, names(collection.readers)),
    h("td", { "data-label": "May contribute" }, names(collection.contributors)),
    h("td", { "data-label": "Classification" }, h("span.badge", {}, collection.classification)),
    h("td.nowrap", { "data-label": "Documents stay" }, collection.days === null ? h("span.muted", {}, span(null)) : span(collection.days)),
    h(
      "td.actions",
      {},
      h("button.button.quiet.small", { type: "button", "aria-label": `Change ${collection.name}`, onclick: () => change(collection).catch(fail) }, "Change"),
      h("button.button.quiet.small", { type: "button", "aria-label": `How long documents of ${collection.name} stay`, onclick: () => stay(collection).catch(fail) }, "Days"),
      h("button.button.quiet.small", { type: "button", "aria-label": `Delete ${collection.name}`, onclick: () => remove(collection).catch(fail) }, "Delete"),
    ),
  );
}

// rendered by the server, which knows the classifications of the routing policy
function classificationField(value) {
  const field = byId("classification-field").content.cloneNode(true);
  field.querySelector("select").value = value;
  return field;
}

const nameField = (value) =>
  h("div.field", {}, h("label", { for: "collection-name" }, "Name"), h("input", { id: "collection-name", name: "name", type: "text", required: true, maxlength: 200, value, autocomplete: "off" }));

// Whoever may put documents in may read them, as the policies have it; the boxes say the same.
function contributingIsReading(event) {
  const { name, value, checked } = event.target;
  const other = (kind) => event.currentTarget.querySelector(`input[name="${kind}"][value="${CSS.escape(value)}"]`);
  if (name === "contributors" && checked) other("readers").checked = true;
  if (name === "readers" && !checked) other("contributors").checked = false;
}

function grantTable({ readers, contributors }) {
  const box = (kind, key, name, checked) => h("input", { type: "checkbox", name: kind, value: key, checked, "aria-label": `${name} may ${kind === "readers" ? "read" : "contribute"}` });
  const row = (grantee) => {
    const { key } = grantee;
    const name = label(grantee);
    return h("tr", {}, h("td", {}, name), h("td", {}, box("readers", key, name, readers.includes(key) || contributors.includes(key))), h("td", {}, box("contributors", key, name, contributors.includes(key))));
  };
  // apart, since a person may be called as a group is
  const part = (title, some) => h("tbody", {}, h("tr", {}, h("th.part", { scope: "rowgroup", colspan: 3 }, title)), some.map(row));
  return h(
    "div.grants",
    { onchange: contributingIsReading },
    h(
      "table.table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Who"), h("th", { scope: "col" }, "Read"), h("th", { scope: "col" }, "Contribute"))),
      part("Groups", grantees.filter((grantee) => !isPerson(grantee))),
      part("People", grantees.filter(isPerson)),
    ),
  );
}

const settings = (form) => ({
  classification: form.get("classification"),
  readers: form.getAll("readers"),
  contributors: form.getAll("contributors"),
});

const change = (collection) =>
  asked(`Change ${collection.name}`, [nameField(collection.name), classificationField(collection.classification), grantTable(collection)], "Save", async (form) => {
    await api.patch(`/api/admin/collections/${collection.id}`, { name: form.get("name"), ...settings(form) });
    toast("Saved.");
    await load();
  });

const stay = ({ id, name, days }) =>
  changeDays(`How long documents of ${name} stay`, { path: `/api/admin/collections/${id}/retention`, noun: "document", since: "their upload", days }).then(load);

// What it holds is said in the sentence and agreed to by its own box: the box refuses where more has come since.
async function remove({ id }) {
  const found = (await api.get("/api/admin/collections")).find((collection) => collection.id === id); // documents come all the time
  if (!found) return load();
  const { name, document_count: count } = found;
  const held = plural(count, "document");
  const fields = [
    h("p", {}, "The collection, its grants and its golden sets will be gone for good. Past answers stay, and say that their sources are gone."),
    count > 0 && h("div.field", {}, h("label.check", {}, h("input", { type: "checkbox", name: "with", required: true }), h("span", {}, `Delete its ${held}, too`, h("span.hint", {}, ` Nobody will find or open ${count === 1 ? "it" : "them"} from then on.`)))),
    h("div.field", {}, h("label", { for: "typed-name" }, "Type the name of the collection"), h("input", { id: "typed-name", name: "name", type: "text", required: true, autocomplete: "off", "aria-describedby": "typed-hint" }), h("p.hint", { id: "typed-hint" }, name)),
  ];
  const save = async (form) => {
    await api.delete(`/api/admin/collections/${id}`, { body: { name: form.get("name"), documents: form.has("with") ? count : 0 } });
    toast(`${name} was deleted.`);
  };
  return asked(`Delete ${name}?`, fields, "Delete", save, { danger: true }).then(load); // also where more documents have come
}

const create = () =>
  asked("New collection", [nameField(""), classificationField(USUAL), grantTable({ readers: [], contributors: [] })], "Create", async (form) => {
    await api.post("/api/admin/collections", { name: form.get("name"), ...settings(form) });
    toast(`${form.get("name")} was created.`);
    await load();
  });

byId("add").addEventListener("click", () => create().catch(fail));
// its form lists the people, so it opens only once they are known
load().then(() => (byId("add").disabled = false), fail);

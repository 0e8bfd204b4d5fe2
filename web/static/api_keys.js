// API keys of one's own: made with the password, shown once, ended.
import { api } from "./api.js";
import { byId, confirmed, fail, fill, h, toast } from "./dom.js";
import { field, ownCode, ownPassword } from "./fields.js";
import { moment } from "./figures.js";
import { asked } from "./form_dialog.js";

const place = byId("api-keys");
const SCOPES = [
  ["ask", "Ask questions", "sees collections and the names of documents, asks, and reads all your conversations"],
  ["documents", "Documents", "sees, reads and uploads documents"],
];
const DAYS = [30, 90, 180, 366];
const LONGEST_NAME = 200;

const act = (label, handler, kind) => h("button.button", { type: "button", class: kind, onclick: () => handler().catch(fail) }, label);

async function load(news = null) {
  const { keys, may_create: mayCreate } = await api.get("/api/account/keys");
  const body = keys.map(line);
  place.parentElement.hidden = !mayCreate && keys.length === 0;
  fill(
    place,
    news,
    keys.length > 0 && h("div.table-wrap", {}, h("table.table.stacking", {}, h("caption.visually-hidden", {}, "Your API keys"), head(), h("tbody", {}, body))),
    mayCreate ? h("div.card-actions", {}, act("Make a key", create, news ? "" : "primary")) : h("p.muted", {}, "The policies of this box do not let you make keys; those that you have open nothing."),
  );
}

const head = () => h("thead", {}, h("tr", {}, ["Name", "For", "Last used", "Ends", ""].map((title) => h("th", { scope: "col" }, title || h("span.visually-hidden", {}, "Actions")))));

function line(key) {
  const over = key.expires_ms <= Date.now();
  const named = SCOPES.filter(([scope]) => key.scopes.includes(scope)).map(([, title]) => h("span.badge", {}, title));
  return h(
    "tr",
    { "data-key": key.id },
    h("td", {}, h("strong", {}, key.name), h("br"), h("code.muted.small", {}, `cloister_${key.id}_…`)),
    h("td", { "data-label": "For" }, h("span.badges", {}, named)),
    h("td.nowrap", { "data-label": "Last used" }, key.last_used_ms === null ? "never" : moment(key.last_used_ms)),
    h("td.nowrap", { "data-label": "Ends" }, over ? h("span.badge.bad", {}, "expired") : moment(key.expires_ms)),
    h("td.actions", {}, h("button.button.quiet.small", { type: "button", "aria-label": `End: ${key.name}`, onclick: () => end(key).catch(fail) }, "End")),
  );
}

async function create() {
  const { since_ms: secondFactor } = await api.get("/api/second-factor");
  const fields = [
    field("key-name", "Name", { name: "name", type: "text", maxlength: LONGEST_NAME }, "So that you know later which program has it."),
    h(
      "fieldset.field",
      {},
      h("legend", {}, "For"),
      SCOPES.map(([scope, title, purpose]) => h("label.check", {}, h("input", { type: "checkbox", name: "scopes", value: scope }), h("span", {}, title, h("span.hint", {}, ` ${purpose}`)))),
    ),
    h("div.field", {}, h("label", { for: "key-days" }, "Ends after"), h("select", { id: "key-days", name: "days" }, DAYS.map((days) => h("option", { value: days, selected: days === 90 }, `${days} days`)))),
    ownPassword("key-password"),
    secondFactor !== null && ownCode("key-code"),
  ];
  let made = null;
  await asked("Make an API key", fields, "Make it", async (form) => {
    const wish = { name: form.get("name"), scopes: form.getAll("scopes"), days: Number(form.get("days")) };
    made = await api.post("/api/account/keys", { ...wish, password: form.get("password"), code: form.get("code") ?? "" });
  });
  if (made) await load(shown(made));
}

// It is in this page alone, until it goes.
function shown({ key, text }) {
  const code = h("code.secret", { tabindex: 0 }, text);
  const news = h(
    "div.notice.good",
    { role: "status" },
    h("p", {}, h("strong", {}, key.name), " is made. Copy it now: it is not shown again, and nobody can look it up."),
    h("p", {}, code),
    h("div.card-actions", {}, act("Copy", () => copy(code), "small"), h("button.button.small", { type: "button", onclick: () => news.remove() }, "I have kept it")),
  );
  return news;
}

async function copy(code) {
  getSelection().selectAllChildren(code);
  // browsers hand out the clipboard over HTTPS and on this machine alone
  if (!navigator.clipboard) return toast("It is selected: copy it with Ctrl+C.");
  await navigator.clipboard.writeText(code.textContent);
  return toast("Copied.");
}

async function end({ id, name }) {
  const detail = "The program that has it is refused from its next request on. Questions and documents that came by it stay.";
  if (!(await confirmed(`End the key ${name}?`, { detail, yes: "End" }))) return;
  await api.delete(`/api/account/keys/${id}`);
  toast(`${name} has ended.`);
  await load();
}

document.addEventListener("keys-ended", () => load().catch(fail));
load().catch(fail);

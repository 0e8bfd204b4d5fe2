// One's own second factor: switching it on in two steps, new recovery codes, switching it off.
import { api, goOnWith } from "./api.js";
import { byId, fail, fill, h, toast } from "./dom.js";
import { field, ownCode, ownPassword } from "./fields.js";
import { moment, plural } from "./figures.js";
import { asked } from "./form_dialog.js";
import { submitted } from "./form_sending.js";
import { s } from "./svg.js";

const place = byId("second-factor");
const mustEnrol = place.hasAttribute("data-required"); // nothing else is open until it is done
const FEW = 3;

const digits = { name: "code", type: "text", inputmode: "numeric", autocomplete: "one-time-code", spellcheck: "false" };
const proofFields = () => [ownPassword("factor-password"), ownCode("factor-code")];
const proofOf = (form) => ({ password: form.get("password"), code: form.get("code") });

async function load() {
  const state = await api.get("/api/second-factor");
  fill(place, state.since_ms === null ? without() : having(state));
}

function without() {
  const begin = h("button.button.primary", { type: "button", onclick: () => enrol().catch(fail) }, "Set it up");
  return [h("p", {}, "Off. Whoever learns your password can sign in with it. With a second factor they need your phone, too."), begin];
}

function having({ since_ms: since, recovery_codes: left }) {
  const few = left < FEW && h("p.notice.warn", {}, left ? `Only ${plural(left, "recovery code")} left. Make new ones before the last is used.` : "No recovery code is left. Make new ones: without your phone you could not sign in.");
  return [
    h("p", {}, h("span.badge.ok", {}, "on"), ` since ${moment(since)}; ${plural(left, "recovery code")} left.`),
    few,
    h(
      "div.card-actions",
      {},
      h("button.button", { type: "button", onclick: () => renew().catch(fail) }, "New recovery codes"),
      h("button.button.danger", { type: "button", onclick: () => switchOff().catch(fail) }, "Switch off"),
    ),
  ];
}

// The picture is dark on light whatever the colours of the page: cameras want it so.
function picture({ size, path }) {
  return s("svg", { class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": "QR code with the secret, for an authenticator app" }, s("rect", { width: size, height: size, class: "qr-ground" }), s("path", { d: path, class: "qr-squares" }));
}

async function enrol() {
  const begun = await api.post("/api/second-factor");
  const form = h(
    "form",
    {},
    ownPassword("factor-password"),
    field("factor-code", "Code that the app shows", digits, "Six digits; a new one every 30 seconds."),
    h("p.field-error", { role: "alert" }),
    h("div.card-actions", {}, h("button.button.primary", { type: "submit" }, "Switch on"), h("button.button", { type: "button", onclick: () => load().catch(fail) }, "Cancel")),
  );
  submitted(form, async (given) => {
    const enrolled = await api.post("/api/second-factor/confirmation", proofOf(given));
    goOnWith(enrolled.csrf_token);
    show(enrolled.recovery_codes, "Your second factor is on. You were signed out everywhere but here.");
  });
  const spelled = begun.secret.match(/.{1,4}/g).join(" ");
  fill(
    place,
    h(
      "ol.enrol",
      {},
      h("li", {}, h("p", {}, "Open an authenticator app on your phone and have it scan this, or type the secret into it."), h("div.enrol-secret", {}, picture(begun), h("div", {}, h("p.hint", {}, "Secret, time-based:"), h("code.secret", {}, spelled)))),
      h("li", {}, h("p", {}, "Show that it is you, and that the app has it."), form),
    ),
  );
  form.querySelector("input").focus();
}

// They are in this page alone, until it goes.
function show(codes, sentence) {
  const kept = h("button.button.primary", { type: "button", onclick: () => (mustEnrol ? location.assign("/") : load().catch(fail)) }, "I have kept them");
  fill(
    place,
    h("p.notice.good", { role: "status" }, sentence),
    h("h3", {}, "Recovery codes"),
    h("p", {}, "Write them down or print them, and keep them away from your phone. Each lets you sign in once without it. They are not shown again."),
    h("ul.recovery-codes", {}, codes.map((code) => h("li", {}, h("code", {}, code)))),
    h("div.card-actions", {}, kept, h("button.button", { type: "button", onclick: () => window.print() }, "Print")),
  );
  kept.focus();
}

async function renew() {
  let made = null;
  await asked("New recovery codes", [h("p", {}, "Those that are left will be of no use any more."), proofFields()], "Make new ones", async (form) => {
    made = (await api.post("/api/second-factor/recovery-codes", proofOf(form))).recovery_codes;
  });
  if (made) show(made, "These take the place of all recovery codes of before.");
}

async function switchOff() {
  let off = false;
  const words = "From then on a password alone lets whoever has it into your account. You are signed out everywhere but here.";
  const fields = [h("p", {}, words), proofFields()];
  await asked("Switch the second factor off?", fields, "Switch off", async (form) => {
    goOnWith((await api.delete("/api/second-factor", { body: proofOf(form) })).csrf_token);
    off = true;
  }, { danger: true });
  if (!off) return;
  toast("Your second factor is off.");
  const { required } = await api.get("/api/second-factor");
  if (required) location.reload(); // this page is now all that is open
  else await load();
}

load().catch(fail);

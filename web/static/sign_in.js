// Name and password; then, where the account has a second factor, its code as a second step of the same form.
import { api } from "./api.js";
import { problem, whileBusy } from "./forms.js";

const form = document.getElementById("sign-in");
const first = document.getElementById("first-step");
const second = document.getElementById("second-step");
const lead = document.getElementById("lead");
const greeting = lead.textContent;
const { name, password, code } = form.elements;
const other = document.getElementById("other-code");

/** The step to fill in now; what was typed in the first stays, to be sent along. */
function step(isSecond) {
  first.hidden = isSecond;
  second.hidden = !isSecond;
  code.value = "";
  lead.textContent = isSecond ? `One more step for ${name.value.trim()}.` : greeting;
  if (isSecond) byApp(true);
  else password.select();
}

// on a phone the one has a keyboard of digits, the other of letters
function byApp(yes) {
  document.querySelector('label[for="code"]').textContent = yes ? "Code that your app shows" : "Recovery code";
  code.inputMode = yes ? "numeric" : "text";
  other.textContent = yes ? "Use a recovery code" : "Use the code of the app";
  other.dataset.by = yes ? "app" : "paper";
  code.focus();
}

function complete() {
  if (!second.hidden) {
    if (!code.value.trim()) {
      problem("Please enter the code.");
      code.focus();
    }
    return code.value.trim() !== "";
  }
  if (name.value.trim() && password.value) return true;
  problem("Please fill in both fields.");
  (name.value.trim() ? password : name).focus();
  return false;
}

function refused(error) {
  if (error.code === "session.code_needed") {
    step(true);
    return;
  }
  if (!second.hidden && error.code === "session.refused") step(false); // another password, or disabled, meanwhile
  problem(error.message);
  (second.hidden ? password : code).select();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!complete()) return;
  problem("");
  whileBusy(form, "Signing in…", async () => {
    const given = { name: name.value.trim(), password: password.value, next: form.dataset.next };
    if (!second.hidden) given.code = code.value.trim();
    try {
      const signedIn = await api.post("/api/sessions", given, { stay: true });
      location.replace(signedIn.home);
    } catch (error) {
      refused(error);
    }
  });
});

other.addEventListener("click", () => {
  code.value = "";
  problem("");
  byApp(other.dataset.by !== "app");
});

document.getElementById("back").addEventListener("click", () => {
  problem("");
  step(false);
});

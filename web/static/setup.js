import { api } from "./api.js";
import { problem, whileBusy } from "./forms.js";

const MINIMUM = 12;
const WORDS = ["", "Weak: easy to guess", "Fair", "Good", "Very good"];
// as appliance/identity/passwords.py has them
const COMMON = /password|passwort|passphrase|qwertyuiop|qwertzuiop|qwerty|qwertz|letmein|welcome|iloveyou|administrator|admin|cloister|secret/gu;
const MIN_TRIPLES = 9;
const form = document.getElementById("setup");

/** Whether the box will refuse it: common words, rows like "1234" and what is said again do not count. */
function simple(password) {
  const letters = [...password.toLowerCase().replace(COMMON, "\0")];
  const step = (at) => letters[at].codePointAt(0) - letters[at - 1].codePointAt(0);
  const told = letters.filter((_, at) => at < 2 || Math.abs(step(at)) > 1 || step(at) !== step(at - 1));
  const once = [...told.join("").replace(/(.{3,}?)\1+/gsu, "$1")];
  return new Set(once.slice(2).map((_, at) => once.slice(at, at + 3).join(""))).size < MIN_TRIPLES;
}

/** 0 to 4, a hint: length counts most, variety a little, repetition not at all. */
function strength(password) {
  if (password.length < MINIMUM) return 0;
  const different = new Set(password.toLowerCase()).size;
  if (different < 6 || simple(password)) return 1;
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}]/u].filter((kind) => kind.test(password)).length;
  const points = password.length + different / 2 + kinds * 2;
  return points < 22 ? 2 : points < 30 ? 3 : 4;
}

function showStrength() {
  const password = form.elements.password.value;
  const level = strength(password);
  const missing = MINIMUM - password.length;
  document.querySelector(".strength").dataset.level = String(password === "" ? 0 : Math.max(level, 1));
  document.getElementById("strength").textContent =
    password === ""
      ? "At least 12 characters. A few unrelated words make a good one."
      : missing > 0
        ? `${missing} more ${missing === 1 ? "character" : "characters"} needed.`
        : `${WORDS[level]}.`;
}

function showRepeated() {
  const { password, repeated } = form.elements;
  const differs = repeated.value !== "" && repeated.value !== password.value;
  repeated.setAttribute("aria-invalid", String(differs));
  document.getElementById("repeated-hint").textContent = differs ? "The two passwords differ." : "";
  return differs;
}

if (form) {
  form.elements.password.addEventListener("input", () => {
    showStrength();
    if (form.elements.repeated.value !== "") showRepeated();
  });
  form.elements.repeated.addEventListener("input", showRepeated);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, password, repeated, handbook } = form.elements;
    const missing = [name, password, repeated].find((input) => input.value.trim() === "");
    if (missing) {
      problem("Please fill in all fields.");
      missing.focus();
      return;
    }
    if (password.value.length < MINIMUM || showRepeated()) {
      problem(password.value.length < MINIMUM ? "The password needs at least 12 characters." : ""); // else it stands at the field
      (password.value.length < MINIMUM ? password : repeated).focus();
      return;
    }
    problem("");
    whileBusy(form, "Setting up…", async () => {
      try {
        const body = { token: form.dataset.token, name: name.value.trim(), password: password.value, load_handbook: handbook.checked };
        const done = await api.post("/api/setup", body, { stay: true });
        location.replace(done.home);
      } catch (error) {
        problem(error.message);
      }
    });
  });
}

// What the forms before the first page share.

/** Say what is wrong, in words, above the button; an empty sentence takes it away. */
export function problem(sentence) {
  const place = document.getElementById("problem");
  place.textContent = sentence;
  place.hidden = sentence === "";
}

/** Keep a form from being sent twice. */
export async function whileBusy(form, text, work) {
  const button = form.querySelector('button[type="submit"]');
  const before = button.textContent;
  button.disabled = true;
  button.textContent = text;
  try {
    return await work();
  } finally {
    button.disabled = false;
    button.textContent = before;
  }
}

// what was wrong is being put right
document.querySelector("form")?.addEventListener("input", () => problem(""));

for (const button of document.querySelectorAll("[data-reveals]")) {
  const inputs = button.dataset.reveals.split(" ").map((id) => document.getElementById(id));
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    button.textContent = shown ? "Hide" : "Show";
    for (const input of inputs) input.type = shown ? "text" : "password";
  });
}

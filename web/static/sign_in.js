import { api } from "./api.js";
import { problem, whileBusy } from "./forms.js";

const form = document.getElementById("sign-in");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = form.elements.name.value.trim();
  const password = form.elements.password.value;
  if (!name || !password) {
    problem("Please fill in both fields.");
    (name ? form.elements.password : form.elements.name).focus();
    return;
  }
  problem("");
  whileBusy(form, "Signing in…", async () => {
    try {
      const signedIn = await api.post("/api/sessions", { name, password, next: form.dataset.next }, { stay: true });
      location.replace(signedIn.home);
    } catch (error) {
      problem(error.message);
      form.elements.password.select();
    }
  });
});

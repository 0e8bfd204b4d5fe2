// What every page has: one's own password, and signing out.
import { api } from "./api.js";
import { h, toast } from "./dom.js";
import { asked } from "./form_dialog.js";

function field(name, label, autocomplete, hint = "") {
  const attributes = { id: `account-${name}`, name, type: "password", required: true, autocomplete };
  if (autocomplete === "new-password") attributes.minlength = 12;
  return h("div.field", {}, h("label", { for: `account-${name}` }, label), h("input", attributes), hint && h("p.hint", {}, hint));
}

async function change(form) {
  if (form.get("new") !== form.get("repeated")) throw new Error("The two new passwords differ.");
  const { csrf_token: renewed } = await api.post("/api/password", { current: form.get("current"), new: form.get("new") });
  document.querySelector('meta[name="csrf-token"]').content = renewed;
  toast("Your password was changed. You stay signed in here and nowhere else.");
}

document.getElementById("account")?.addEventListener("click", () => {
  const fields = [
    field("current", "Current password", "current-password"),
    field("new", "New password", "new-password", "At least 12 characters. A few unrelated words make a good one."),
    field("repeated", "The new password again", "new-password"),
  ];
  asked("Change your password", fields, "Change", change);
});

document.getElementById("sign-out")?.addEventListener("click", async () => {
  try {
    await api.delete("/api/sessions/current");
    location.assign("/sign-in");
  } catch (error) {
    toast(error.message, "error");
  }
});

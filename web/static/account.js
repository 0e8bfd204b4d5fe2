// One's own account: the password.
import { api } from "./api.js";
import { byId, toast } from "./dom.js";
import { submitted } from "./section_form.js";

/** Goes on with the session that takes the place of this one. */
async function renewed(answer) {
  document.querySelector('meta[name="csrf-token"]').content = (await answer).csrf_token;
}

submitted(byId("password-form"), async (form) => {
  if (form.get("new") !== form.get("repeated")) throw new Error("The two new passwords differ.");
  await renewed(api.post("/api/password", { current: form.get("current"), new: form.get("new") }));
  toast("Your password was changed. You stay signed in here and nowhere else.");
});

// One's own account: the password. The second factor stands in second_factor.js.
import { api, goOnWith } from "./api.js";
import { byId, toast } from "./dom.js";
import { submitted } from "./form_sending.js";

submitted(byId("password-form"), async (form) => {
  if (form.get("new") !== form.get("repeated")) throw new Error("The two new passwords differ.");
  const { csrf_token: renewed } = await api.post("/api/password", { current: form.get("current"), new: form.get("new") });
  goOnWith(renewed);
  toast("Your password was changed. You stay signed in here and nowhere else.");
  document.dispatchEvent(new Event("keys-ended"));
});

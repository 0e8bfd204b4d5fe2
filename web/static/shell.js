// What every page has: signing out.
import { api } from "./api.js";
import { toast } from "./dom.js";

document.getElementById("sign-out")?.addEventListener("click", async () => {
  try {
    await api.delete("/api/sessions/current");
    location.assign("/sign-in");
  } catch (error) {
    toast(error.message, "error");
  }
});

// Letting a version answer, and what golden sets have to say about it before.
import { api } from "./api.js";
import { confirmed, h, toast } from "./dom.js";
import { asked } from "./form_dialog.js";

/** Activates; where golden sets must be asked first, or speak against it, the administrator decides. Resolves to what happened. */
export async function letAnswer(path) {
  try {
    await api.post(`${path}/activate`);
    return "activated";
  } catch (error) {
    if (error.code === "golden.not_run") return askFirst(path, error);
    if (error.code === "golden.regression" || error.code === "golden.failed") return override(path, error);
    throw error;
  }
}

async function askFirst(path, error) {
  const detail = `${error.message} It is activated by itself once all of them have been asked and none speaks against it.`;
  if (!(await confirmed("Ask the golden sets first?", { detail, yes: "Ask, then activate", danger: false }))) return "left";
  const begun = await api.post(`${path}/examine`);
  toast(begun.length > 0 ? "The golden sets are being asked. How far they are is shown under Evaluation." : "They are being asked already.");
  return "asked";
}

async function override(path, error) {
  let done = "left";
  const fields = [
    h("p.notice.error", {}, error.message, error.data.run && [" ", h("a", { href: `/admin/evaluation#run=${error.data.run}` }, "What came of it")]),
    h("div.field", {}, h("label", { for: "override-reason" }, "Activate it all the same, because"), h("textarea", { id: "override-reason", name: "reason", rows: 3, required: true, maxlength: 1000 }), h("p.hint", {}, "The reason is kept in the audit log.")),
  ];
  await asked("Golden sets speak against it", fields, "Activate all the same", async (form) => {
    await api.post(`${path}/override`, { reason: form.get("reason") });
    done = "activated";
  });
  return done;
}

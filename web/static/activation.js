// Letting a version answer, and what golden sets have to say about it before.
import { api } from "./api.js";
import { confirmed, h, toast } from "./dom.js";
import { asked } from "./form_dialog.js";

/** Activates; where golden sets must be asked first, or speak against it, the administrator decides. Resolves to what happened. */
export function letAnswer(path) {
  return heeding({
    act: () => api.post(`${path}/activate`),
    allTheSame: (reason) => api.post(`${path}/override`, { reason }),
    examine: `${path}/examine`,
    then: "It is activated by itself once all of them have been asked and none speaks against it.",
    ask: "Ask, then activate",
    verb: "Activate",
  });
}

/** The same for a share of the conversations (`{percent}`) or a group (`{group}`, its id); what was asked for is asked for again once the sets have been asked. */
export function letTry(path, whom) {
  return heeding({
    act: () => api.post(`${path}/canary`, whom),
    allTheSame: (reason) => api.post(`${path}/canary`, { ...whom, reason }),
    examine: `${path}/examine?activates=false`,
    then: "Try it out once all of them have been asked.",
    ask: "Ask",
    verb: "Try out",
  });
}

async function heeding(wish) {
  try {
    await wish.act();
    return "done";
  } catch (error) {
    if (error.code === "golden.not_run") return askFirst(wish, error);
    if (error.code === "golden.regression" || error.code === "golden.failed") return override(wish, error);
    throw error;
  }
}

async function askFirst(wish, error) {
  const detail = `${error.message} ${wish.then}`;
  if (!(await confirmed("Ask the golden sets first?", { detail, yes: wish.ask, danger: false }))) return "left";
  const begun = await api.post(wish.examine);
  toast(begun.length > 0 ? "The golden sets are being asked. How far they are is shown under Evaluation." : "They are being asked already.");
  return "asked";
}

async function override(wish, error) {
  let happened = "left";
  const fields = [
    h("p.notice.error", {}, error.message, error.data.run && [" ", h("a", { href: `/admin/evaluation#run=${error.data.run}` }, "What came of it")]),
    h("div.field", {}, h("label", { for: "override-reason" }, `${wish.verb} all the same, because`), h("textarea", { id: "override-reason", name: "reason", rows: 3, required: true, maxlength: 1000 }), h("p.hint", {}, "The reason is kept in the audit log.")),
  ];
  await asked("Golden sets speak against it", fields, `${wish.verb} all the same`, async (form) => {
    await wish.allTheSame(form.get("reason"));
    happened = "done";
  });
  return happened;
}

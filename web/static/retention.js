// How long things stay: asks for a number, says what would go by it, and sets it once that was agreed to.
import { api } from "./api.js";
import { h, toast } from "./dom.js";
import { field } from "./fields.js";
import { moment, plural } from "./figures.js";
import { asked } from "./form_dialog.js";

const COPIES = "Backups, copies that upgrades keep and exports of the audit log keep what they hold.";

/** "for good", "90 days" */
export const span = (days) => (days === null ? "for good" : plural(days, "day"));

/**
 * `path` is where the number lives, `noun` what goes by it, `since` when its days begin; `days` is the number as it is.
 * Resolves when the person is done.
 */
export async function changeDays(title, { path, noun, since, days }) {
  let outlook = null;
  const number = { name: "days", type: "number", min: 0, max: 36500, step: 1, inputmode: "numeric", value: days ?? "", required: false };
  const hint = `Left empty, ${noun}s stay until somebody deletes them. ${COPIES}`;
  await asked(title, [field("days", `Days since ${since}`, number, hint)], "Continue", async (form) => {
    outlook = await api.get(`${path}/outlook?days=${Number(form.get("days"))}`);
  });
  if (outlook) await agreed(title, outlook, { path, noun, since });
}

async function agreed(title, { days, days_before: before, effective_ms: effective, going }, { path, noun, since }) {
  const waits = before !== days && effective > Date.now();
  const them = going === 1 ? "it" : "them";
  const box = h("label.check", {}, h("input", { type: "checkbox", name: "agreed", required: true }), h("span", {}, `Remove ${plural(going, noun)} that ${going === 1 ? "is" : "are"} older already`, h("span.hint", {}, ` Nobody will find or open ${them} from then on.`)));
  const fields = [
    h("p", {}, days === null ? `${capital(noun)}s stay until somebody deletes them.` : `${capital(noun)}s are removed ${plural(days, "day")} after ${since}.`),
    waits && h("p", {}, "Nothing is removed by this number before ", h("span.nowrap", {}, moment(effective)), "; until then it can be taken back."),
    going > 0 && h("div.field", {}, box),
    days !== null && h("p.hint", {}, `What belongs to somebody whom an officer holds stays until that is lifted. ${COPIES}`),
  ];
  await asked(title, fields, "Save", async () => {
    await api.patch(path, { days: days ?? 0, going });
    toast("Saved.");
  });
}

const capital = (noun) => noun[0].toUpperCase() + noun.slice(1);

// Who is held, and what is still sealed of people whose accounts were deleted: a card of the officer's page. Each look is audited.
import { api } from "./api.js";
import { fail, fill, h, toast } from "./dom.js";
import { moment, plural } from "./figures.js";
import { asked, told } from "./form_dialog.js";

const short = (person) => `${person.slice(0, 8)}…`;
const called = ({ person, name }) => name ?? `deleted account ${short(person)}`;

const reasonField = (hint) =>
  h("div.field", {}, h("label", { for: "reason" }, "Reason"), h("input", { id: "reason", name: "reason", type: "text", required: true, maxlength: 1000, autocomplete: "off" }), h("p.hint", {}, hint));
const KEPT = "Kept sealed in this log, as words of yours.";

/** Fill `place` with the card; `choices` are the options of people as the page's filter has them, `changed` is told of each act. */
export async function showHolds(place, choices, changed) {
  const { holds, leftovers } = await api.get("/api/holds");
  const again = async () => {
    await showHolds(place, choices, changed);
    changed();
  };
  const held = new Set(holds.map(({ person }) => person));
  const act = (label, about, handler, kind = "quiet") =>
    h("button.button.small", { type: "button", class: kind, "aria-label": `${label}: ${about}`, onclick: () => handler().catch(fail) }, label);

  async function hold() {
    const options = choices.filter(({ value }) => !held.has(value)).map(({ value, label }) => h("option", { value }, label));
    const person = h("div.field", {}, h("label", { for: "hold-person" }, "Person"), h("select", { id: "hold-person", name: "person", required: true }, options));
    await asked("Hold a person", [person, reasonField(KEPT)], "Hold", async (form) => {
      await api.post("/api/holds", { person: form.get("person"), reason: form.get("reason") });
      toast("Held.");
    });
    await again();
  }

  async function lift(each) {
    await asked(`Lift the hold on ${called(each)}?`, [h("p", {}, "The account may then be deleted, and what is sealed of it erased. Conversations and documents of theirs that are too old by then are removed within the hour."), reasonField(KEPT)], "Lift", async (form) => {
      await api.post(`/api/holds/${each.person}/lift`, { reason: form.get("reason") });
      toast("Lifted.");
    });
    await again();
  }

  async function erase({ person, values }) {
    let done = null;
    const detail = `${plural(values, "sealed value")} of the deleted account ${short(person)}: questions, names, addresses. Nobody can read them afterwards, and nothing brings them back. The entries stay. Whose they are, the name sealed in the entry person.created of this pseudonym says: disclose that first.`;
    await asked("Erase what is sealed?", [h("p", {}, detail), reasonField(KEPT)], "Erase", async (form) => (done = await api.post("/api/audit/erase", { person, reason: form.get("reason") })), { danger: true });
    await again();
    if (done) await told("What was erased", remains(done));
  }

  const line = (each) => h("li", {}, h("span", {}, h("strong", {}, called(each)), h("span.muted.small", {}, ` since ${moment(each.placed_ms)} by ${each.placed_by}; the reason is in entry ${each.placed_seq}`)), act("Lift", called(each), () => lift(each)));
  const left = (each) =>
    h(
      "li",
      {},
      h("span", {}, h("code", { title: each.person }, short(each.person)), h("span.muted.small", {}, ` deleted ${moment(each.deleted_ms)}; ${plural(each.values, "value")} sealed`)),
      each.held ? h("span.badge", {}, "held") : act("Erase", short(each.person), () => erase(each), "danger"),
    );
  fill(
    place,
    h("p.muted.small", {}, "While a person is held their account cannot be deleted, and what is sealed of it in this log cannot be erased; their conversations and what they uploaded are not removed by their age. They are not told, and can still delete conversations and documents of their own: the words of their questions stay sealed here, answers and files do not."),
    holds.length ? h("ul.acts", {}, holds.map(line)) : h("p", {}, "Nobody is held."),
    h("button.button", { type: "button", onclick: () => hold().catch(fail) }, "Hold a person"),
    h("h3", {}, "Deleted accounts"),
    leftovers.length ? h("ul.acts", {}, leftovers.map(left)) : h("p", {}, "Nothing is sealed of any deleted account."),
  );
}

// What went, and where the words may still be: the box cannot reach copies that left it.
function remains({ values, first, last, exports, backups, kept_copies: kept, remains_on_disk: onDisk }) {
  const named = (copies) => copies.map(({ seq, time_ms: time, format }) => `${format} ${moment(time)} (entry ${seq})`.trim()).join(", ");
  const copies = [
    exports.length > 0 && `exports: ${named(exports)}`,
    backups.length > 0 && `backups: ${named(backups)}`,
    kept.length > 0 && `kept by upgrades on this box until "cloister upgrade --remove-copies": ${kept.map(moment).join(", ")}`,
  ].filter(Boolean);
  return [
    h("p", {}, `${plural(values, "value")} of entries ${first} to ${last} ${values === 1 ? "was" : "were"} erased.`),
    h("p", {}, copies.length ? `Copies made before may still hold names and words: ${copies.join("; ")}.` : "No copy made before is known."),
    onDisk && h("p", {}, "Somebody was reading meanwhile, so encrypted remains stay on the disk until the database writes over them."),
  ];
}

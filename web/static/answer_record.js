// How the model of an answer was chosen, within an entry of the audit log. Fetched when asked for: the look is an entry of its own.
import { api } from "./api.js";
import { fail, fill, h, pair } from "./dom.js";

const words = (code) => code.replaceAll("_", " ");
const reasons = (codes) => h("ul.plain", {}, Object.entries(codes).map(([name, code]) => h("li", {}, `${name}: ${words(code)}`)));
const some = (codes) => Object.keys(codes).length > 0;

function selected(selection) {
  if (selection === null) return pair("Model", "none was asked");
  const { classification, model, runtime, device, library, destination, reason, refusal, lost, passed_over: passed, policy, used, instead_of: insteadOf } = selection;
  return [
    pair("Classification", classification),
    model ? pair("Chosen", `${model} through ${runtime}`) : pair("Refused", words(refusal)),
    destination && pair("At", destination),
    used && used !== device && pair("Computed on", used),
    device && !destination && pair("On", library && library !== device ? `${device}, by ${library}` : device),
    reason && pair("Because", words(reason)),
    some(insteadOf) && pair("In place of", reasons(insteadOf)),
    some(lost) && pair("Not chosen", reasons(lost)),
    some(passed) && pair("Devices passed over", reasons(passed)),
    policy && pair("Routing policy", h("code.digest", {}, policy)),
  ];
}

function view(record) {
  const { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: written, timing } = record;
  return h(
    "dl.pairs",
    {},
    selected(record.selection),
    pair("Prompt", `${prompt.toLocaleString("en")} word pieces, ${cached.toLocaleString("en")} of them kept from before`),
    pair("Answer", `${written.toLocaleString("en")} word pieces`),
    Object.entries(timing).map(([step, value]) => pair(step[0].toUpperCase() + words(step.slice(1).replace(/_ms$/u, "")), `${value.toLocaleString("en")} ms`)),
  );
}

/** A button that shows it, for an entry about an answer; null for others. */
export function answerRecord({ event, resources }) {
  const message = resources.find(({ kind }) => kind === "message");
  if (!event.startsWith("answer.") || !message) return null;
  const place = h("div.answer-record", {});
  const show = async () => fill(place, h("h3", {}, "How its model was chosen"), view(await api.get(`/api/audit/answers/${message.id}`)));
  return fill(
    place,
    h("button.button.small", { type: "button", onclick: () => show().catch(fail) }, "Show how its model was chosen"),
    h("span.hint", {}, " recorded as a look at the log"),
  );
}

// The chat page: which conversation is shown, what is being asked, and the answer as it is written.
import { api } from "./api.js";
import { AnswerView, inProgress, questionView } from "./answer_view.js";
import { followAnswer } from "./answer_stream.js";
import { hidePreview } from "./citations.js";
import { byId, fill, h, toast } from "./dom.js";
import { emptyState } from "./chat_empty.js";
import { moment } from "./figures.js";
import { ModelChoice } from "./model_choice.js";
import { Scope } from "./scope.js";
import { Threads } from "./threads.js";
import { threadsPanel } from "./threads_panel.js";
import { visible } from "./visible.js";

const composer = byId("composer");
const question = byId("question");
const scroll = byId("scroll");
const messages = byId("messages");

const state = { conversation: null, following: null, answerId: "", stopping: false, sending: false, visit: 0, keeping: true, next: false };
const scope = new Scope(byId("scope"), byId("scope-chooser"), byId("thread-scope"));
const model = new ModelChoice(document.getElementById("model"), byId("thread-model"));
const threads = new Threads(byId("threads-list"), { open: (id) => go(`/chat/${id}`), gone: (id) => id === state.conversation?.id && go("/chat") });
const putThreadsAway = threadsPanel({ place: byId("chat"), panel: byId("threads"), behind: byId("thread"), toggle: byId("threads-toggle"), close: byId("threads-close") });

const loaded = Promise.allSettled([scope.load(), threads.load(), model.load()]).then((results) => {
  const failed = results.find((result) => result.status === "rejected");
  if (failed) toast(failed.reason.message, "error");
});

function problem(sentence) {
  byId("problem").textContent = visible(sentence);
  byId("problem").hidden = sentence === "";
}

function announce(text) {
  byId("announcer").textContent = visible(text);
}

// The newest question stays in sight: the answer grows below it, and whoever scrolls is left alone.
function keepInSight() {
  if (!state.keeping) return;
  const last = [...messages.querySelectorAll(".question")].at(-1);
  const end = scroll.scrollHeight - scroll.clientHeight;
  scroll.scrollTop = last ? Math.min(end, last.offsetTop - messages.offsetTop) : end;
}

const NOTE = byId("note").textContent;

// What is asked while an answer is being written waits for it, and is asked then unless it is changed, or the answer stopped.
function hold() {
  state.next = true;
  byId("note").textContent = "The answer is still being written. Your question is kept and asked as soon as it is done.";
  announce(byId("note").textContent);
}

function refresh() {
  const busy = state.answerId !== "" || state.sending;
  if (!busy) byId("note").textContent = NOTE;
  byId("send").disabled = state.sending || state.next || question.value.trim() === "";
  byId("send").hidden = state.answerId !== "" && question.value.trim() === "";
  byId("stop").hidden = state.answerId === "";
  byId("stop").disabled = state.stopping;
}

// which conversation ---------------------------------------------------------------------------------------------------------

function go(path) {
  history.pushState(null, "", path);
  arrive();
}

// Whoever goes on with it moves that day.
function end(conversation) {
  const at = conversation?.end_ms ?? null;
  byId("end").textContent = at === null ? "" : `This conversation is removed on ${moment(at).slice(0, 10)} unless you go on with it.`;
  byId("end").hidden = at === null;
}

function leave() {
  state.following?.();
  Object.assign(state, { conversation: null, following: null, answerId: "", stopping: false, next: false });
  hidePreview();
  problem("");
  end(null);
}

function title(text) {
  byId("thread-title").textContent = visible(text);
  document.title = text ? `${visible(text)} · Cloister` : "Chat · Cloister";
}

async function arrive() {
  leave();
  const visit = (state.visit += 1);
  const id = location.pathname.split("/")[2] ?? "";
  putThreadsAway();
  threads.show(id);
  refresh();
  if (!id) {
    title("");
    fill(messages);
    question.focus();
    await loaded;
    // a quick person may have asked, or gone elsewhere, before the lists were there
    if (visit !== state.visit || state.conversation || state.sending) return;
    scope.choose();
    model.choose();
    fill(messages, emptyState(scope, ask));
    return;
  }
  try {
    const [found] = await Promise.all([api.get(`/api/conversations/${encodeURIComponent(id)}`), loaded]);
    if (visit !== state.visit) return;
    state.conversation = found.conversation;
    title(found.conversation.title);
    end(found.conversation);
    scope.fix(found.conversation.collection_id);
    model.fix(found.conversation.chosen_model);
    fill(messages, found.earlier && earlier(found.messages[0].ordinal));
    for (const message of found.messages) messages.append(shown(message, textBefore(found.messages, message)));
    state.keeping = true;
    keepInSight();
  } catch (error) {
    if (visit !== state.visit) return;
    title("");
    fill(messages, h("div.empty", {}, h("h2", {}, error.message), h("p", {}, h("a.button", { href: "/chat" }, "Start a new conversation"))));
  }
  refresh();
}

function textBefore(all, message) {
  return all.find((other) => other.ordinal === message.ordinal - 1)?.text ?? "";
}

// asking ---------------------------------------------------------------------------------------------------------------------

function shown(message, asked = "") {
  if (message.role === "user") return questionView(message);
  const view = new AnswerView(message, { retry: () => ask(asked) });
  if (inProgress(message)) follow(message, view);
  return view.element;
}

/** What stands above the first message that is shown; whoever scrolls up to it, or presses it, sees those before. */
function earlier(ordinal) {
  const { visit, conversation } = state;
  const load = async () => {
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true"); // and not `disabled`, which would take the focus away
    try {
      const found = await api.get(`/api/conversations/${conversation.id}?before=${ordinal}`);
      if (visit !== state.visit) return;
      const focused = document.activeElement === button;
      const below = scroll.scrollHeight - scroll.scrollTop;
      watch.disconnect();
      button.replaceWith(
        ...(found.earlier ? [earlier(found.messages[0].ordinal)] : []),
        ...found.messages.map((message) => shown(message, textBefore(found.messages, message))),
      );
      scroll.scrollTop = scroll.scrollHeight - below; // what was read stays where it is
      if (focused) scroll.focus();
    } catch (error) {
      toast(error.message, "error");
      button.removeAttribute("aria-disabled");
    }
  };
  const button = h("button.button.quiet.small.wide.earlier", { type: "button", onclick: load }, "Show earlier questions");
  const watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && load(), { root: scroll });
  watch.observe(button);
  return button;
}

async function ask(text) {
  const asked = text.trim();
  if (!asked || state.sending || state.answerId) return;
  state.sending = true;
  problem("");
  end(null);
  refresh();
  const visit = state.visit;
  const draft = questionView({ text: asked });
  if (!state.conversation) fill(messages);
  const sending = h("p.answer-status", {}, h("span.pulse", { "aria-hidden": "true" }), h("span", {}, "Sending"), "…");
  messages.append(draft, sending);
  question.value = "";
  grow();
  state.keeping = true;
  keepInSight();
  try {
    const conversation = state.conversation ?? (await begin());
    const { question: stored, answer } = await api.post(`/api/conversations/${conversation.id}/messages`, { text: asked });
    // the person may have gone to another conversation meanwhile; the answer is written all the same
    if (visit === state.visit) {
      draft.replaceWith(questionView(stored));
      sending.remove();
      messages.append(shown(answer, asked));
      keepInSight();
    }
    threads.load().then(() => visit === state.visit && title(threads.find(conversation.id)?.title ?? "")).catch(() => {});
  } catch (error) {
    if (visit === state.visit) {
      draft.remove();
      sending.remove();
      question.value = asked;
      if (!state.conversation) fill(messages, emptyState(scope, ask));
      problem(error.message);
      question.focus();
    }
  } finally {
    state.sending = false;
    grow();
    refresh();
  }
}

async function begin() {
  const conversation = await api.post("/api/conversations", { collection_id: scope.value || null, model: model.value });
  state.conversation = conversation;
  threads.current = conversation.id;
  history.pushState(null, "", `/chat/${conversation.id}`);
  scope.fix(conversation.collection_id);
  model.fix(conversation.chosen_model);
  return conversation;
}

function follow(message, view) {
  state.answerId = message.id;
  state.stopping = false;
  announce("The answer is being written.");
  const over = () => {
    Object.assign(state, { following: null, answerId: "", stopping: false, next: false });
    refresh();
  };
  state.following = followAnswer(message.id, {
    text: (text) => view.text(text),
    stage: (name) => {
      if (!state.stopping) view.stage(name);
    },
    trouble: (on) => view.trouble(on ? "The connection was lost. Trying again; nothing of the answer will be missing." : ""),
    done: (stored) => {
      view.finish(stored);
      announce(stored.status === "FAILED" ? stored.reason ?? "" : `Answer: ${stored.text}`);
      const next = state.next;
      over();
      keepInSight();
      if (next) ask(question.value);
    },
    lost: () => {
      over();
      view.retry = arrive;
      view.lost("The connection to this answer was lost.");
    },
  });
  refresh();
}

async function stop() {
  if (!state.answerId || state.stopping) return;
  Object.assign(state, { stopping: true, next: false });
  refresh();
  try {
    await api.post(`/api/messages/${state.answerId}/stop`);
  } catch (error) {
    state.stopping = false;
    toast(error.message, "error");
    refresh();
  }
}

// the composer ---------------------------------------------------------------------------------------------------------------

function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}

function askOrHold() {
  if (question.value.trim() && (state.sending || state.answerId)) hold();
  else ask(question.value);
  refresh();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  askOrHold();
});
question.addEventListener("input", () => {
  grow();
  if (state.next) byId("note").textContent = NOTE;
  state.next = false;
  refresh();
});
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    askOrHold();
  }
});
byId("stop").addEventListener("click", stop);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]") || putThreadsAway({ back: true })) return;
  hidePreview();
  stop();
});
byId("new-conversation").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go("/chat");
});
scroll.addEventListener("scroll", hidePreview, { passive: true });
for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
  scroll.addEventListener(kind, () => (state.keeping = false), { passive: true });
}
messages.addEventListener("grown", keepInSight);
addEventListener("popstate", arrive);

arrive();

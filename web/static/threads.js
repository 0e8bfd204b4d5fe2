// The left column: one's own conversations, by day.
import { api } from "./api.js";
import { confirmed, fill, h, toast } from "./dom.js";

const DAY_MS = 86_400_000;

function dayOf(milliseconds) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (milliseconds >= midnight) return "Today";
  if (milliseconds >= midnight - DAY_MS) return "Yesterday";
  if (milliseconds >= midnight - 7 * DAY_MS) return "Last seven days";
  return "Earlier";
}

/** Whether a conversation stands further down in the list than another one. */
const follows = (one, other) => one.updated_ms < other.updated_ms || (one.updated_ms === other.updated_ms && one.id < other.id);

/** `open(id)` shows a conversation, `gone(id)` is told of a deleted one. */
export class Threads {
  constructor(place, { open, gone }) {
    this.place = place;
    this.open = open;
    this.gone = gone;
    this.conversations = [];
    this.current = "";
    this.more = false;
    // whoever scrolls to the end need not press the button
    this.end = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.#older(), { root: place, rootMargin: "0px 0px 240px 0px" });
  }

  /** The newest ones; those that were shown further down stay. */
  async load() {
    const { conversations, more } = await api.get("/api/conversations");
    const last = conversations.at(-1);
    const seen = new Set(conversations.map(({ id }) => id));
    const kept = more ? this.conversations.filter((known) => !seen.has(known.id) && follows(known, last)) : [];
    if (kept.length === 0) this.more = more;
    this.conversations = [...conversations, ...kept];
    this.draw();
  }

  async #older() {
    if (this.loading || !this.more) return;
    this.loading = true;
    try {
      const last = this.conversations.at(-1);
      const { conversations, more } = await api.get(`/api/conversations?before_ms=${last.updated_ms}&before_id=${last.id}`);
      const known = new Set(this.conversations.map(({ id }) => id));
      const fresh = conversations.filter(({ id }) => !known.has(id));
      this.conversations.push(...fresh);
      this.more = more;
      const focused = this.place.querySelector(".threads-more") === document.activeElement;
      this.draw();
      if (focused && fresh.length) this.place.querySelector(`a[href="/chat/${fresh[0].id}"]`)?.focus();
    } catch (error) {
      toast(error.message, "error");
    } finally {
      this.loading = false;
    }
  }

  /** The conversation as the list knows it. */
  find(id) {
    return this.conversations.find((conversation) => conversation.id === id);
  }

  show(id) {
    this.current = id;
    this.draw();
  }

  draw() {
    if (this.conversations.length === 0) {
      fill(this.place, h("p.threads-empty", {}, "Your conversations will be listed here. Only you can open them. The audit log keeps your questions sealed; an officer can disclose one, and that is recorded."));
      return;
    }
    const days = new Map();
    for (const conversation of this.conversations) {
      const day = dayOf(conversation.updated_ms);
      if (!days.has(day)) days.set(day, []);
      days.get(day).push(conversation);
    }
    fill(
      this.place,
      [...days].map(([day, conversations]) => [
        h("h2.threads-day", {}, day),
        h("ul", {}, conversations.map((conversation) => this.#item(conversation))),
      ]),
      this.more && h("button.button.quiet.small.wide.threads-more", { type: "button", onclick: () => this.#older() }, "Show older conversations"),
    );
    this.end.disconnect();
    const button = this.place.querySelector(".threads-more");
    if (button) this.end.observe(button);
  }

  #item(conversation) {
    const current = conversation.id === this.current;
    const link = h(
      "a.thread-link",
      { href: `/chat/${conversation.id}`, "aria-current": current ? "page" : null, title: conversation.title },
      conversation.title,
    );
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      this.open(conversation.id);
    });
    const remove = h(
      "button.button.quiet.small.icon.thread-delete",
      { type: "button", "aria-label": `Delete “${conversation.title}”`, title: "Delete", onclick: () => this.#delete(conversation) },
      "×",
    );
    return h("li", {}, link, remove);
  }

  async #delete(conversation) {
    const detail = `“${conversation.title}” and all its answers will be gone for good. The audit log keeps your questions sealed; an officer can disclose one, and that is recorded.`;
    if (!(await confirmed("Delete this conversation?", { detail }))) return;
    try {
      await api.delete(`/api/conversations/${conversation.id}`);
    } catch (error) {
      if (error.status !== 404) {
        toast(error.message, "error");
        return;
      }
    }
    this.conversations = this.conversations.filter((other) => other.id !== conversation.id);
    this.draw();
    this.gone(conversation.id);
  }
}

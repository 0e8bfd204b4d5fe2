// Follows one answer. The browser reconnects by itself and names the last event it saw; the box resumes from there.

import { api } from "./api.js";

const TROUBLE_AFTER_MS = 2500;
const AGAIN_MS = [1000, 2000, 5000, 10000];

/**
 * `on` is told: text(string), stage(name), done(message), trouble(boolean), lost(). Text arrives as the whole answer so far.
 * Gives back a function that stops following.
 */
export function followAnswer(messageId, on) {
  let points = [];
  let source = null;
  let ended = false;
  let failures = 0;
  let trouble = 0;
  let again = 0;

  const calm = () => {
    clearTimeout(trouble);
    trouble = 0;
    failures = 0;
    on.trouble(false);
  };

  const listen = (name, handle) =>
    source.addEventListener(name, (event) => {
      calm();
      handle(JSON.parse(event.data));
    });

  function connect() {
    // a new EventSource starts over: deltas carry their offset, so hearing them twice changes nothing
    source = new EventSource(`/api/messages/${encodeURIComponent(messageId)}/events`);
    listen("reset", () => {
      points = [];
      on.text("");
    });
    listen("stage", ({ name }) => on.stage(name));
    listen("delta", ({ text, offset }) => {
      points.length = Math.min(points.length, offset);
      points.push(...text);
      on.text(points.join(""));
    });
    listen("done", (message) => {
      stop();
      on.done(message);
    });
    listen("problem", () => {
      stop();
      on.lost();
    });
    source.addEventListener("open", calm);
    source.addEventListener("error", () => {
      if (ended) return;
      if (!trouble) trouble = setTimeout(() => on.trouble(true), TROUBLE_AFTER_MS);
      if (source.readyState === EventSource.CLOSED) {
        // a refused stream does not say why; another request does, and leads to the sign-in page where the session has ended
        api.get("/api/collections").catch(() => {});
        failures += 1;
        if (failures > AGAIN_MS.length) {
          stop();
          on.lost();
          return;
        }
        again = setTimeout(connect, AGAIN_MS[failures - 1]);
      }
    });
  }

  function stop() {
    ended = true;
    clearTimeout(trouble);
    clearTimeout(again);
    source?.close();
  }

  connect();
  return stop;
}

// One file on its way to the box. The File itself is the body: the browser streams it from disk, it never enters memory here.
import { csrfToken, signInAgain } from "./api.js";
import { h, size } from "./dom.js";

export class UploadLine {
  constructor(file, collectionId, limitMb, onStored) {
    this.file = file;
    this.collectionId = collectionId;
    this.limitMb = limitMb;
    this.onStored = onStored;
    this.cancelled = false;
    this.bar = h("progress", { max: 100, value: 0, "aria-label": `Upload of ${file.name}` });
    this.state = h("span.upload-state", {}, "waiting");
    this.button = h("button.button.quiet.small", { type: "button", "aria-label": `Cancel the upload of ${file.name}` }, "Cancel");
    this.button.addEventListener("click", () => this.#cancel());
    this.element = h("li.upload", { "data-collection": collectionId }, h("span.upload-name", {}, file.name), this.bar, this.state, this.button);
  }

  /** Whether there is anything to send; says why not. */
  acceptable() {
    if (this.file.size === 0) this.#end("failed", "The file is empty.");
    else if (this.file.size > this.limitMb * 1e6) this.#end("failed", `Larger than the ${this.limitMb} MB this box takes (${size(this.file.size)}).`);
    else return true;
    return false;
  }

  /** Resolves when the request has ended, however it ended. */
  send() {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest(); // fetch cannot tell how much of a body was sent
      this.request = request;
      const path = `/api/collections/${encodeURIComponent(this.collectionId)}/documents`;
      request.open("POST", `${path}?name=${encodeURIComponent(this.file.name)}`);
      request.setRequestHeader("X-CSRF-Token", csrfToken());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => this.#progress(event.loaded, event.total));
      request.addEventListener("load", () => this.#answered(request));
      request.addEventListener("error", () => this.#end("failed", "The connection broke. Choose the file again."));
      request.addEventListener("abort", () => this.#end("failed", "Cancelled."));
      request.addEventListener("loadend", resolve);
      this.state.textContent = "0 %";
      request.send(this.file);
    });
  }

  #progress(loaded, total) {
    const percent = Math.floor((100 * loaded) / Math.max(total, 1));
    this.bar.value = percent;
    this.state.textContent = percent < 100 ? `${percent} % of ${size(total)}` : "storing";
  }

  #answered(request) {
    if (request.status === 401) signInAgain();
    const answer = request.response;
    if (request.status >= 400 || !answer?.document) {
      this.#end("failed", answer?.error?.message ?? `Refused (${request.status}).`);
      return;
    }
    this.#end("done", answer.duplicate ? "Already here: the same file was uploaded before." : "Stored");
    if (!answer.duplicate) this.element.remove(); // its row below says the rest
    this.onStored(answer);
  }

  #cancel() {
    this.cancelled = true;
    if (this.request) this.request.abort();
    else this.#end("failed", "Cancelled.");
  }

  #end(kind, sentence) {
    this.element.classList.add(kind);
    this.bar.remove();
    this.state.textContent = sentence;
    const dismiss = h("button.button.quiet.small", { type: "button", "aria-label": `Dismiss ${this.file.name}` }, "Dismiss");
    dismiss.addEventListener("click", () => this.element.remove());
    this.button.replaceWith(dismiss);
    this.button = dismiss;
  }
}

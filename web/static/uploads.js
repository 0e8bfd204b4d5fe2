// One file on its way to the box. The File itself is the body: the browser streams it from disk, it never enters memory here.
import { h } from "./dom.js";
import { fileSize } from "./figures.js";

const csrf = () => document.querySelector('meta[name="csrf-token"]').content;

export class UploadLine {
  constructor(file, collectionId, { limitMb, onEnd }) {
    this.file = file;
    this.collectionId = collectionId;
    this.limitMb = limitMb;
    this.onEnd = onEnd;
    this.cancelled = false;
    this.bar = h("progress", { max: 100, value: 0, "aria-label": `Upload of ${file.name}` });
    this.state = h("span", { class: "upload-state" }, "waiting");
    this.stop = h("button", { type: "button", class: "quiet", "aria-label": `Cancel the upload of ${file.name}` }, "Cancel");
    this.stop.addEventListener("click", () => this.cancel());
    this.element = h("li", { class: "upload" }, h("span", { class: "upload-name" }, file.name), this.bar, this.state, this.stop);
  }

  // Whether there is anything to send; says why not.
  begin() {
    if (this.file.size === 0) this.end("failed", "The file is empty.");
    else if (this.file.size > this.limitMb * 1e6) this.end("failed", `Larger than the limit of ${this.limitMb} MB (${fileSize(this.file.size)}).`);
    else return true;
    return false;
  }

  send() {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest(); // fetch cannot report how much of a body was sent
      this.request = request;
      request.open("POST", `/api/collections/${encodeURIComponent(this.collectionId)}/documents?name=${encodeURIComponent(this.file.name)}`);
      request.setRequestHeader("X-CSRF-Token", csrf());
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => this.progress(event.loaded, event.total));
      request.addEventListener("load", () => this.answered(request));
      request.addEventListener("error", () => this.end("failed", "The connection broke. Choose the file again."));
      request.addEventListener("abort", () => this.end("failed", "Cancelled."));
      request.addEventListener("loadend", resolve);
      this.state.textContent = "0 %";
      request.send(this.file);
    });
  }

  progress(loaded, total) {
    const percent = Math.floor((100 * loaded) / Math.max(total, 1));
    this.bar.value = percent;
    this.state.textContent = percent < 100 ? `${percent} % of ${fileSize(total)}` : "checking";
  }

  answered(request) {
    const answer = request.response;
    if (request.status >= 400 || !answer?.document) {
      this.end("failed", answer?.error?.message ?? `Refused (${request.status}).`);
      return;
    }
    this.end("done", answer.duplicate ? "Already here: the same file was uploaded before." : "Uploaded");
    if (!answer.duplicate) setTimeout(() => this.element.remove(), 1500);
    this.onEnd(this, answer);
  }

  cancel() {
    this.cancelled = true;
    if (this.request) this.request.abort();
    else this.end("failed", "Cancelled.");
  }

  end(kind, sentence) {
    this.element.classList.add(kind);
    this.bar.remove();
    this.state.textContent = sentence;
    const close = h("button", { type: "button", class: "quiet", "aria-label": `Dismiss ${this.file.name}` }, "Dismiss");
    close.addEventListener("click", () => this.element.remove());
    this.stop.replaceWith(close);
    this.stop = close;
  }
}

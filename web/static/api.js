// The only door of the pages to the JSON routes.

/** An answer that is not a success; `message` is a sentence for people, `code` and `data` are for programs. */
export class ApiError extends Error {
  constructor(status, error) {
    super(error.message || "The box did not answer as expected.");
    this.name = "ApiError";
    this.status = status;
    this.code = error.code || "unknown";
    this.data = error;
  }
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** Go on with the session that took the place of this one. */
export function goOnWith(token) {
  document.querySelector('meta[name="csrf-token"]').content = token;
}

/** Go to the sign-in page and come back here afterwards. */
export function signInAgain() {
  const here = location.pathname + location.search;
  location.assign(`/sign-in?next=${encodeURIComponent(here)}`);
}

async function errorOf(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // a proxy in front may answer with something that is no JSON
  }
  return new ApiError(response.status, error);
}

async function request(method, path, { body, signal, raw = false, stay = false } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken();
  if (body !== undefined && !raw) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined || raw ? body : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "box.unreachable", message: "The box cannot be reached. Is it switched on and on this network?" });
  }
  if (response.status === 401 && !stay) signInAgain();
  if (!response.ok) throw await errorOf(response);
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

export const api = {
  get: (path, options) => request("GET", path, options),
  post: (path, body, options) => request("POST", path, { ...options, body: body ?? {} }),
  put: (path, body, options) => request("PUT", path, { ...options, body }),
  patch: (path, body, options) => request("PATCH", path, { ...options, body }),
  delete: (path, options) => request("DELETE", path, options),
};

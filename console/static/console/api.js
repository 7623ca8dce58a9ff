// Client of the public API for the pages: session cookie, CSRF token, problem details as errors.

import { say } from "./texts.js";

const RESPONSE_MS = 60_000; // timeout of a response

// An error response, or no response at all: then `status` is 0.
export class Problem extends Error {
  constructor(body) {
    super(body.detail);
    this.body = body;
    this.errors = body.errors ?? [];
    const more = (body.error_count ?? 0) - this.errors.length;
    if (more > 0) this.errors.push({ pointer: "", code: "more", detail: say("{more} more errors.", { more }) });
  }
}

const UNREACHABLE = say("The server is not reachable. Try again when the connection is back.");
const SILENT = say("The server did not respond in time. Try again.");

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

async function call(path, options = {}) {
  const response = await reach(`/api/v1${path}`, {
    ...options,
    headers: { Accept: "application/json", "X-CSRFToken": csrf(), ...options.headers },
  });
  const body = await response.json().catch(() => null); // null: truncated, or not JSON
  if (response.ok && body !== null) return body;
  if (response.status === 401 || response.status === 403 && !csrf()) logIn();
  throw new Problem(response.ok ? { status: 0, detail: UNREACHABLE }
    : { status: response.status, detail: say("The server responded with {status}.", { status: response.status }), ...body });
}

// Returns the response, whatever its status.
export async function reach(url, options = {}) {
  try {
    const signals = [AbortSignal.timeout(RESPONSE_MS), ...options.signal ? [options.signal] : []];
    return await fetch(url, { credentials: "same-origin", ...options, signal: AbortSignal.any(signals) });
  } catch (error) {
    throw new Problem({ status: 0, detail: error.name === "TimeoutError" ? SILENT : UNREACHABLE });
  }
}

let isLeaving = false; // a second navigation would abort the first

function logIn() {
  if (isLeaving) return;
  isLeaving = true;
  location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
}

window.addEventListener("pageshow", (event) => { if (event.persisted) isLeaving = false; });

const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
const uploads = new WeakMap(); // keys by file

// The headers with which a file is stored once.
export function uploadHeaders(file) {
  if (!uploads.has(file)) uploads.set(file, newKey());
  return { "Idempotency-Key": uploads.get(file) };
}

// Uploads a file, and returns what is known of it.
export const upload = (file) => {
  const body = new FormData();
  body.append("file", file);
  return call("/files", { method: "POST", body, headers: uploadHeaders(file) });
};

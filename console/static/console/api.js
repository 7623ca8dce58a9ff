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

  // Whether a retry of the same request may succeed.
  get isTransient() {
    const { status = 0 } = this.body;
    return status === 0 || status >= 500 || [408, 425, 429].includes(status);
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

export function logIn() {
  if (isLeaving) return;
  isLeaving = true;
  location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
}

window.addEventListener("pageshow", (event) => { if (event.persisted) isLeaving = false; });

export const get = (path, query = {}) => {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return call(parameters.size ? `${path}?${parameters}` : path);
};

// Returns all rows of a paged list.
export async function all(path) {
  const rows = [];
  for (let cursor = null, more = true; more; more = cursor !== null) {
    const page = await get(path, { limit: 200, cursor });
    rows.push(...page.data);
    cursor = page.next_cursor;
  }
  return rows;
}

const sending = (method) => (path, body = {}, headers = {}) =>
  call(path, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } });

const send = sending("POST");

const BUSY_MS = 1000; // between retries while the first request is in progress
const BUSY_TRIES = 60;
const keys = new Map(); // by path and body: of requests without a final answer

const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");

// Sends a POST, and retries while an earlier one with the same key is in progress.
async function sendOnce(path, body, headers) {
  for (let tries = 1; ; tries++) {
    try {
      return await send(path, body, headers);
    } catch (error) {
      if (error.body?.code !== "idempotency-key-busy" || tries === BUSY_TRIES) throw error;
      await new Promise((done) => { setTimeout(done, BUSY_MS); });
    }
  }
}

// Sends a POST that acts once. The same request has the same key until it has a final answer: the first one may be lost.
export async function post(path, body = {}, headers = {}) {
  const name = `${path} ${JSON.stringify(body)}`;
  if (!keys.has(name)) keys.set(name, newKey());
  try {
    const answer = await sendOnce(path, body, { "Idempotency-Key": keys.get(name), ...headers });
    keys.delete(name);
    return answer;
  } catch (error) {
    if (!error.isTransient) keys.delete(name);
    throw error;
  }
}

export const patch = sending("PATCH");

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

// The public API, as the pages use it: session cookie, CSRF token, problem details as errors.

const ANSWER_MS = 60_000; // that an answer may take

// What was answered instead, or that nothing was: then `status` is 0.
export class Problem extends Error {
  constructor(body) {
    super(body.detail);
    this.body = body;
    this.errors = body.errors ?? [];
    const more = (body.error_count ?? 0) - this.errors.length;
    if (more > 0) this.errors.push({ pointer: "", code: "more", detail: `${more} more are wrong.` });
  }

  // Whether the same request may well succeed a moment later.
  get passes() {
    const { status = 0 } = this.body;
    return status === 0 || status >= 500 || [408, 425, 429].includes(status);
  }
}

const UNREACHABLE = "The server cannot be reached. Try again when the connection is back.";
const SILENT = "The server did not answer in time. Try again.";

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

async function call(path, options = {}) {
  const response = await reach(`/api/v1${path}`, {
    ...options,
    headers: { Accept: "application/json", "X-CSRFToken": csrf(), ...options.headers },
  });
  const body = await response.json().catch(() => null); // null: cut off, or no JSON
  if (response.ok && body !== null) return body;
  if (response.status === 401 || response.status === 403 && !csrf()) logIn();
  throw new Problem(response.ok ? { status: 0, detail: UNREACHABLE }
    : { status: response.status, detail: `The server answered ${response.status}.`, ...body });
}

// Returns whatever the server answers.
export async function reach(url, options = {}) {
  try {
    return await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(ANSWER_MS), ...options });
  } catch (error) {
    throw new Problem({ status: 0, detail: error.name === "TimeoutError" ? SILENT : UNREACHABLE });
  }
}

export const logIn = () => location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);

export const get = (path, query = {}) => {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return call(parameters.size ? `${path}?${parameters}` : path);
};

// All rows of a list, page by page.
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

export const post = sending("POST");
export const patch = sending("PATCH");

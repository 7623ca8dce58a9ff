// Client of the public API for the pages: session cookie, CSRF token, problem details as errors.

const RESPONSE_MS = 60_000; // timeout of a response

// An error response, or no response at all: then `status` is 0.
export class Problem extends Error {
  constructor(body) {
    super(body.detail);
    this.body = body;
    this.errors = body.errors ?? [];
    const more = (body.error_count ?? 0) - this.errors.length;
    if (more > 0) this.errors.push({ pointer: "", code: "more", detail: `${more} more errors.` });
  }

  // Whether a retry of the same request may succeed.
  get isTransient() {
    const { status = 0 } = this.body;
    return status === 0 || status >= 500 || [408, 425, 429].includes(status);
  }
}

const UNREACHABLE = "The server is not reachable. Try again when the connection is back.";
const SILENT = "The server did not respond in time. Try again.";

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
    : { status: response.status, detail: `The server responded with ${response.status}.`, ...body });
}

// Returns the response, whatever its status.
export async function reach(url, options = {}) {
  try {
    return await fetch(url, { credentials: "same-origin", signal: AbortSignal.timeout(RESPONSE_MS), ...options });
  } catch (error) {
    throw new Problem({ status: 0, detail: error.name === "TimeoutError" ? SILENT : UNREACHABLE });
  }
}

export const logIn = () => location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);

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

// Uploads a file, and returns what is known of it.
export const upload = (file) => {
  const body = new FormData();
  body.append("file", file);
  return call("/files", { method: "POST", body });
};

export const post = sending("POST");
export const patch = sending("PATCH");

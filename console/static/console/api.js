// The public API, as the pages use it: session cookie, CSRF token, problem details as errors.

export class Problem extends Error {
  constructor(body) {
    super(body.detail);
    this.body = body;
    this.errors = body.errors ?? [];
    const more = (body.error_count ?? 0) - this.errors.length;
    if (more > 0) this.errors.push({ pointer: "", code: "more", detail: `${more} more are wrong.` });
  }
}

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

async function call(path, options = {}) {
  const response = await fetch(`/api/v1${path}`, {
    credentials: "same-origin",
    ...options,
    headers: { Accept: "application/json", "X-CSRFToken": csrf(), ...options.headers },
  });
  if (response.ok) return response.json();
  if (response.status === 401 || response.status === 403 && !csrf()) {
    location.assign(`/login/?next=${encodeURIComponent(location.pathname)}`);
  }
  throw new Problem(await response.json().catch(() => ({ detail: `The server answered ${response.status}.` })));
}

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

const sending = (method) => (path, body = {}) =>
  call(path, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

export const post = sending("POST");
export const patch = sending("PATCH");

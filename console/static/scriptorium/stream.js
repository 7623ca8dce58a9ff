// Follows the event stream of an execution or a scope. Runs in browsers and Node.js, without dependencies.
// Usage: docs/clients/browser.md. Guarantees of the server: docs/streaming.md.

export const EVENT_TYPES = [
  "execution_created", "execution_started", "step_started", "remediation_started", "review_started",
  "review_completed", "clarification_needed",
  "clarification_answered", "acceptance_needed", "acceptance_voted", "acceptance_decided", "wait_reminder",
  "wait_overdue", "document_edited", "step_reused", "step_completed", "step_failed", "step_cancelled",
  "step_skipped", "execution_waiting", "execution_resumed", "execution_retried", "budget_warning", "budget_changed",
  "complete"];
const UNLOGGED_EVENTS = ["step_delta", "stream-reset", "inbox_counts"];
const STEP_ENDS = new Set(["step_completed", "step_failed", "step_cancelled", "step_skipped"]);

const RETRY_MS = 2_000; // default, unless the server sends `retry`
const MAX_RETRY_MS = 30_000; // between attempts, unless the server asks for more
const SILENCE_MS = 45_000; // three missing keep-alives
const SLEEP_MS = 90_000; // a longer gap between ticks means that the machine slept; hidden pages tick once a minute
const TICK_MS = 5_000;

// Incremental parser of Server-Sent Events.
export class Parser {
  retry = null; // ms, if the server has sent it
  #rest = "";
  #id = "";
  #event = "";
  #data = [];

  // Returns the complete messages: {event, data, id}; data is null if a block only sets the id.
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/); // a trailing CR may be the start of a CRLF
    this.#rest = lines.pop();
    return lines.map((line) => (line === "" ? this.#end() : this.#field(line))).filter(Boolean);
  }

  #field(line) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #end() {
    const data = this.#data.length ? this.#data.join("\n") : null;
    const message = { event: this.#event || "message", data, id: this.#id };
    this.#event = "";
    this.#data = [];
    return message;
  }
}

// Live texts of steps. Offsets count code points; JavaScript strings count UTF-16 units.
export class Drafts {
  #drafts = new Map();

  // Applies a step_delta; returns {execution_id, step_id, attempt, text} with the whole text, or null if nothing is new.
  take({ execution_id, step_id, data: { attempt, offset, text } }) {
    const key = `${execution_id}/${step_id}`;
    const known = this.#drafts.get(key);
    const begins = offset === 0;
    if (!begins && (known?.attempt !== attempt || known.length < offset)) return null; // its beginning will follow
    const kept = begins ? "" : offset === known.length ? known.text : [...known.text].slice(0, offset).join("");
    const draft = { attempt, text: kept + text, length: offset + [...text].length };
    this.#drafts.set(key, draft);
    if (known?.attempt === attempt && known.text === draft.text) return null;
    return { execution_id, step_id, attempt, text: draft.text };
  }

  // Removes live texts after an event that ends a step or the execution.
  told({ event_type, execution_id, step_id }) {
    if (STEP_ENDS.has(event_type)) this.#drafts.delete(`${execution_id}/${step_id}`);
    if (event_type !== "complete") return;
    for (const key of this.#drafts.keys()) if (key.startsWith(`${execution_id}/`)) this.#drafts.delete(key);
  }
}

// path: …/executions/{id}/stream, …/scopes/{type}/{id}/stream or …/inbox/stream. Options, all optional:
//   lastId         id of the last known event; without it, an execution's stream starts with its first event
//   types          only these event types
//   ticket         a ticket, or an async function that returns one per connection; null closes the stream
//   token          an API token, or such a function; sent as a header
//   transport      "fetch": never use EventSource
//   pauseHidden    true: no connection while the page is hidden (a browser opens six to one HTTP/1.1 server)
//   onEvent(event, id), on: {step_completed(event, id) {…}, …}
//   onDelta({execution_id, step_id, attempt, text}), onReset(event, id)
//   onCounts({question, acceptance, …})  of an inbox
//   onState("open"), onState("waiting", "starting" | "cut" | "offline" | "hidden"), onState("closed", "ended" | "refused" | "left")
//   onError(problem, {final}): an error response of the server, or an exception of a function of yours
export const follow = (path, options = {}) => new Stream(path, options);

class Stream {
  state = "waiting";
  why = "starting";
  lastId = null;
  #options;
  #url;
  #connection = null; // AbortController of the current connection
  #life = new AbortController(); // of the listeners, until the stream is closed
  #drafts = new Drafts();
  #retry = RETRY_MS;
  #tries = 0; // failed attempts since the last success
  #timer;
  #ended = false; // the last event was `complete`: probably the end, which only the server can confirm
  #unexplained = false; // an EventSource failed without a reason: use fetch to get the response
  #renewed = false; // after a 401 the ticket or token was renewed already
  #heard = 0; // time of the last data from fetch; 0: EventSource, which hides keep-alives
  #tick = Date.now();

  constructor(path, options) {
    this.#options = options;
    this.#url = new URL(path, globalThis.location?.href);
    this.lastId = options.lastId ?? null;
    const listen = (target, name, act) => target?.addEventListener?.(name, act, { signal: this.#life.signal });
    listen(globalThis.document, "visibilitychange", () => this.#looked());
    listen(globalThis, "offline", () => this.#again("offline"));
    listen(globalThis, "online", () => this.#afresh("cut"));
    const ticks = setInterval(() => this.#watch(), TICK_MS);
    this.#life.signal.addEventListener("abort", () => clearInterval(ticks));
    queueMicrotask(() => this.#paused ? this.#pause() : this.#afresh("starting")); // after the constructor, so that the caller has the stream
  }

  // Closes the stream permanently.
  close() {
    this.#finish("left");
  }

  get #paused() {
    return Boolean(this.#options.pauseHidden && globalThis.document?.hidden);
  }

  get #isFeed() {
    return /\/scopes\//.test(this.#url.pathname);
  }

  #looked() {
    if (this.#paused) this.#pause();
    else if (this.#connection === null || this.#connection.signal.aborted) this.#afresh("hidden");
  }

  #pause() {
    if (this.state === "closed") return;
    this.#drop();
    this.#become("waiting", "hidden");
  }

  // A connection can die silently while a machine sleeps or changes its network.
  #watch() {
    const now = Date.now();
    const slept = now - this.#tick > SLEEP_MS;
    const silent = this.state === "open" && this.#heard > 0 && now - this.#heard > SILENCE_MS;
    this.#tick = now;
    if (slept || silent) this.#afresh("cut");
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#connection?.abort();
  }

  #become(state, why) {
    const changed = this.state !== state || state === "waiting" && this.why !== why;
    [this.state, this.why] = [state, why];
    if (changed) this.#call(this.#options.onState, state, why);
  }

  #finish(why) {
    this.#drop();
    this.#life.abort();
    this.#become("closed", why);
  }

  // An exception in a callback is a bug of the page: report it as an uncaught error.
  #call(callback, ...told) {
    try {
      callback?.(...told);
    } catch (error) {
      const report = globalThis.reportError ?? ((fault) => queueMicrotask(() => { throw fault; }));
      report(error);
    }
  }

  // Connects immediately, and resets the backoff.
  #afresh(why) {
    if (this.state === "closed" || this.#paused) return;
    this.#tries = 0;
    this.#become("waiting", why);
    this.#connect();
  }

  // Connects after at minimum `minimum` ms, with random jitter.
  #again(why, minimum = this.#retry) {
    if (this.state === "closed" || this.#paused) return;
    this.#drop();
    const spread = Math.random() * Math.min(MAX_RETRY_MS, this.#retry * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.#connect(), minimum && minimum + spread);
    this.#become("waiting", why);
  }

  async #connect() {
    this.#drop();
    const { signal } = (this.#connection = new AbortController());
    const { ticket, token, types, transport } = this.#options;
    const url = new URL(this.#url);
    try {
      const [shown, bearer] = await Promise.all([ticket, token].map((each) => typeof each === "function" ? each() : each));
      if (signal.aborted) return;
      if (shown === null || bearer === null) return this.#finish("left");
      if (shown) url.searchParams.set("ticket", shown);
      if (types) url.searchParams.set("types", types.join(","));
      if (this.lastId !== null) url.searchParams.set("last_event_id", this.lastId);
      // A feed begins with an id without an event, which EventSource does not expose.
      const shows = !bearer && !this.#unexplained && !(this.#isFeed && this.lastId === null);
      if (shows && transport !== "fetch" && globalThis.EventSource) this.#listen(url, signal);
      else await this.#read(url, bearer, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof TypeError)) this.#call(this.#options.onError, { detail: error.message }, { final: false });
      this.#again("cut"); // without a connection fetch throws TypeErrors
    }
  }

  #opened() {
    this.#tries = 0;
    this.#ended = this.#unexplained = this.#renewed = false;
    this.#become("open");
  }

  #listen(url, signal) {
    const source = new EventSource(url);
    let tried = false;
    this.#heard = 0;
    signal.addEventListener("abort", () => source.close());
    source.onopen = () => { tried = false; this.#opened(); };
    const told = ({ type, data, lastEventId }) => signal.aborted || this.#take({ event: type, data, id: lastEventId });
    for (const type of new Set([...EVENT_TYPES, ...UNLOGGED_EVENTS, ...Object.keys(this.#options.on ?? {})])) {
      source.addEventListener(type, told);
    }
    source.onerror = () => {
      const trying = source.readyState === EventSource.CONNECTING && !tried && !this.#ended;
      tried = true;
      if (trying) return this.#become("waiting", "cut"); // let the browser retry once: it knows the server's `retry`
      this.#unexplained = true;
      this.#again("cut", this.#ended || source.readyState === EventSource.CLOSED ? 0 : this.#retry);
    };
  }

  async #read(url, bearer, signal) {
    const headers = { Accept: "text/event-stream", ...(bearer && { Authorization: `Bearer ${bearer}` }) };
    const response = await fetch(url, { headers, signal, cache: "no-store" });
    if (response.status === 204) return this.#finish("ended");
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
    if (response.status !== 200 || !isStream) return this.#refused(response, signal);
    this.#opened();
    const parser = new Parser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      this.#heard = Date.now();
      for (const message of parser.push(part.value)) signal.aborted || this.#take(message);
      this.#retry = parser.retry ?? this.#retry;
    }
    if (!signal.aborted) this.#again("cut", this.#ended ? 0 : this.#retry); // at the end the server responds with 204
  }

  async #refused(response, signal) {
    const { status } = response;
    const problem = await response.json().catch(() => ({ status, detail: `The server responded with ${status}.` }));
    if (signal.aborted) return;
    // Permanent errors: credentials (unless a function can renew them), permissions, an unknown stream or position.
    const { ticket, token } = this.#options;
    const renews = status === 401 && !this.#renewed && [ticket, token].some((each) => typeof each === "function");
    const final = status < 500 && ![408, 425, 429].includes(status) && !renews;
    this.#renewed ||= renews;
    this.#call(this.#options.onError, problem, { final });
    if (final) return this.#finish("refused");
    const asked = response.headers.get("Retry-After"); // seconds, or a date
    const minimum = asked && (/^\d+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - Date.now());
    this.#again("cut", renews ? 0 : Math.max(minimum || 0, this.#retry));
  }

  #take({ event, data, id }) {
    const isNew = this.lastId === null || Number(id) > Number(this.lastId);
    if (data === null) { // the first message of a feed
      if (id && isNew) this.lastId = id;
      return;
    }
    const told = JSON.parse(data);
    if (event === "inbox_counts") return this.#call(this.#options.onCounts, told); // without an id
    if (event === "step_delta") {
      const draft = this.#drafts.take(told);
      if (draft) this.#call(this.#options.onDelta, draft);
      return;
    }
    if (!isNew) return;
    this.lastId = id;
    this.#ended = event === "complete" && !this.#isFeed;
    if (event === "stream-reset") return this.#call(this.#options.onReset, told, id);
    this.#drafts.told(told);
    this.#call(this.#options.onEvent, told, id);
    this.#call(this.#options.on?.[event], told, id);
  }
}

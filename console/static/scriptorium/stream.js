// Follows a stream of events: of one execution, or of a whole scope. Needs nothing but a browser (or Node.js).
// How to use it: docs/clients/browser.md. What the server promises: docs/streaming.md.

export const EVENT_TYPES = [
  "execution_created", "execution_started", "step_started", "remediation_started", "review_started",
  "review_completed", "clarification_needed",
  "clarification_answered", "acceptance_needed", "acceptance_decided", "step_completed", "step_failed",
  "step_cancelled", "step_skipped", "execution_waiting", "execution_resumed", "execution_retried", "budget_warning",
  "budget_changed", "complete"];
const BESIDE_THE_LOG = ["step_delta", "stream-reset"];
const STEP_ENDS = new Set(["step_completed", "step_failed", "step_cancelled", "step_skipped"]);

const RETRY_MS = 2_000; // until the server says another
const LONGEST_MS = 30_000; // between two tries, unless the server asks for more
const SILENT_MS = 45_000; // three keep-alives that did not come
const ASLEEP_MS = 90_000; // between two beats; the slowest timer of a hidden page beats once a minute
const BEAT_MS = 5_000;

// Server-Sent Events, from text that comes in pieces of any size.
export class Parser {
  retry = null; // ms, once the server has said it
  #rest = "";
  #id = "";
  #event = "";
  #data = [];

  // Returns the messages that are whole now: {event, data, id}; data is null where a block only moved the id.
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/); // a CR at the end may be half of a CRLF
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

// The texts that steps are writing. Offsets count code points, which a string of JavaScript does not.
export class Drafts {
  #drafts = new Map();

  // Takes a step_delta; returns {execution_id, step_id, attempt, text: all of it}, or null when nothing is new.
  take({ execution_id, step_id, data: { attempt, offset, text } }) {
    const key = `${execution_id}/${step_id}`;
    const known = this.#drafts.get(key);
    const begins = offset === 0;
    if (!begins && (known?.attempt !== attempt || known.length < offset)) return null; // its beginning is on its way
    const kept = begins ? "" : offset === known.length ? known.text : [...known.text].slice(0, offset).join("");
    const draft = { attempt, text: kept + text, length: offset + [...text].length };
    this.#drafts.set(key, draft);
    if (known?.attempt === attempt && known.text === draft.text) return null;
    return { execution_id, step_id, attempt, text: draft.text };
  }

  // An event of the log: where it ends a step, or all, the drafts are worth nothing any more.
  told({ event_type, execution_id, step_id }) {
    if (STEP_ENDS.has(event_type)) this.#drafts.delete(`${execution_id}/${step_id}`);
    if (event_type !== "complete") return;
    for (const key of this.#drafts.keys()) if (key.startsWith(`${execution_id}/`)) this.#drafts.delete(key);
  }
}

// path: …/executions/{id}/stream or …/scopes/{type}/{id}/stream. Options, all optional:
//   lastId         the last event that is known already; of an execution all events come without it
//   types          only these events
//   ticket         a ticket, or an async function that gets one for each connection; null ends it all
//   token          an API token, or such a function; it is sent as a header
//   transport      "fetch" to use no EventSource even where it would do
//   pauseHidden    true: no connection while the page is hidden (a browser opens six to one HTTP/1.1 server)
//   onEvent(event, id), on: {step_completed(event, id) {…}, …}
//   onDelta({execution_id, step_id, attempt, text}), onReset(event, id)
//   onState("open"), onState("waiting", "starting" | "cut" | "offline" | "hidden"), onState("closed", "ended" | "refused" | "left")
//   onError(problem, {final}): what the server answered instead, or what a function of yours threw
export const follow = (path, options = {}) => new Stream(path, options);

class Stream {
  state = "waiting";
  why = "starting";
  lastId = null;
  #options;
  #url;
  #connection = null; // an AbortController: whatever is under way belongs to it
  #life = new AbortController(); // and the listeners to this
  #drafts = new Drafts();
  #retry = RETRY_MS;
  #tries = 0; // in vain, since the last success
  #timer;
  #ended = false; // the last event was `complete`: most likely nothing follows, which only the server knows
  #unexplained = false; // an EventSource was refused, and does not say why: fetch asks again
  #renewed = false; // a 401 was answered by another ticket or token already
  #heard = 0; // when fetch read something; 0: there is an EventSource, which hides keep-alives
  #beat = Date.now();

  constructor(path, options) {
    this.#options = options;
    this.#url = new URL(path, globalThis.location?.href);
    this.lastId = options.lastId ?? null;
    const listen = (target, name, act) => target?.addEventListener?.(name, act, { signal: this.#life.signal });
    listen(globalThis.document, "visibilitychange", () => this.#looked());
    listen(globalThis, "offline", () => this.#again("offline"));
    listen(globalThis, "online", () => this.#afresh("cut"));
    const beats = setInterval(() => this.#watch(), BEAT_MS);
    this.#life.signal.addEventListener("abort", () => clearInterval(beats));
    queueMicrotask(() => this.#paused ? this.#pause() : this.#afresh("starting")); // the caller has no stream yet
  }

  // Ends it for good.
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

  // A line can die without a word while a machine sleeps or changes its network.
  #watch() {
    const now = Date.now();
    const slept = now - this.#beat > ASLEEP_MS;
    const silent = this.state === "open" && this.#heard > 0 && now - this.#heard > SILENT_MS;
    this.#beat = now;
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

  // A callback that throws is a bug of the page, not of the stream: it shows up as any uncaught error.
  #call(callback, ...told) {
    try {
      callback?.(...told);
    } catch (error) {
      const report = globalThis.reportError ?? ((fault) => queueMicrotask(() => { throw fault; }));
      report(error);
    }
  }

  // Connects now, as if it were the first time.
  #afresh(why) {
    if (this.state === "closed" || this.#paused) return;
    this.#tries = 0;
    this.#become("waiting", why);
    this.#connect();
  }

  // Connects later: not before `least` ms, and each client at another moment.
  #again(why, least = this.#retry) {
    if (this.state === "closed" || this.#paused) return;
    this.#drop();
    const spread = Math.random() * Math.min(LONGEST_MS, this.#retry * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.#connect(), least && least + spread);
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
      // The first words of a feed are an id without an event, which an EventSource keeps to itself.
      const shows = !bearer && !this.#unexplained && !(this.#isFeed && this.lastId === null);
      if (shows && transport !== "fetch" && globalThis.EventSource) this.#listen(url, signal);
      else await this.#read(url, bearer, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof TypeError)) this.#call(this.#options.onError, { detail: error.message }, { final: false });
      this.#again("cut"); // fetch throws TypeErrors when there is no connection
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
    for (const type of new Set([...EVENT_TYPES, ...BESIDE_THE_LOG, ...Object.keys(this.#options.on ?? {})])) {
      source.addEventListener(type, told);
    }
    source.onerror = () => {
      const trying = source.readyState === EventSource.CONNECTING && !tried && !this.#ended;
      tried = true;
      if (trying) return this.#become("waiting", "cut"); // the browser tries once by itself: it knows the server's `retry`
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
    if (!signal.aborted) this.#again("cut", this.#ended ? 0 : this.#retry); // at the end the server says so: 204
  }

  async #refused(response, signal) {
    const { status } = response;
    const problem = await response.json().catch(() => ({ status, detail: `The server answered ${status}.` }));
    if (signal.aborted) return;
    // What does not pass by itself: who asks (unless a function finds out again), what for, from where on.
    const { ticket, token } = this.#options;
    const renews = status === 401 && !this.#renewed && [ticket, token].some((each) => typeof each === "function");
    const final = status < 500 && ![408, 425, 429].includes(status) && !renews;
    this.#renewed ||= renews;
    this.#call(this.#options.onError, problem, { final });
    if (final) return this.#finish("refused");
    const asked = response.headers.get("Retry-After"); // seconds, or a date
    const least = asked && (/^\d+$/.test(asked) ? Number(asked) * 1000 : Date.parse(asked) - Date.now());
    this.#again("cut", renews ? 0 : Math.max(least || 0, this.#retry));
  }

  #take({ event, data, id }) {
    const isNew = this.lastId === null || Number(id) > Number(this.lastId);
    if (data === null) { // the beginning of a feed
      if (id && isNew) this.lastId = id;
      return;
    }
    const told = JSON.parse(data);
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

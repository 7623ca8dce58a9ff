// Tells the sections of a page that something has changed. A page follows the stream in `data-stream`, that of the inbox
// unless it names another one; every page gets a tick from time to time. A section reacts with one of these events:
//   scriptorium:changed  each event of the stream; `hx-trigger="scriptorium:changed from:document throttle:1s"`
//   scriptorium:update   something has changed: at once, and less often the longer the stream is busy
//   scriptorium:waits    what waits for people may have changed
//   scriptorium:writing  the text that a step writes, as far as it is: {step_id, attempt, text}

import { follow } from "../scriptorium/stream.js";
import { setLost, tellStatus } from "./shell.js";

const TICK_MS = 20_000;
const SOON_MS = 4_000; // while a section has `data-soon`: what it shows changes, and no stream of the page tells of it
const LOST_MS = 500; // after which a stream that was cut is told of: one that has ended is cut, too, and then told so
const GAPS_MS = [1_000, 2_000, 4_000, 8_000]; // between updates of a busy stream
// What changes no inbox.
const WORK = new Set(["execution_created", "execution_started", "step_started", "remediation_started", "review_started",
  "review_completed", "step_reused", "step_completed", "step_skipped"]);

const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`scriptorium:${name}`, { detail }));
let gap = 0;
let later = null; // the timer of a gap
let isDue = false;
let losing = null; // the timer of the notice about the connection

function update() {
  if (later !== null) { isDue = true; return; }
  tell("update");
  later = setTimeout(() => {
    later = null;
    gap = isDue ? Math.min(gap + 1, GAPS_MS.length - 1) : 0;
    if (isDue) { isDue = false; update(); }
  }, GAPS_MS[gap]);
}

function changed(detail) {
  tell("changed", detail);
  if (!WORK.has(detail.kind)) tell("waits");
  update();
}

function start(path, lastId) {
  follow(path, {
    lastId,
    pauseHidden: true,
    onEvent: (event) => changed({ kind: event.event_type, step: event.step_id ?? null, execution: event.execution_id, sequence: event.sequence }),
    onDelta: (draft) => tell("writing", draft),
    onCounts: () => changed({ kind: "inbox", step: null }),
    onReset: () => changed({ kind: "reset", step: null }),
    onError(problem, { final }) {
      if (final) tellStatus(problem.status);
    },
    onState(state, why) {
      clearTimeout(losing);
      if (state === "waiting" && (why === "cut" || why === "offline")) losing = setTimeout(() => setLost("stream", true), LOST_MS);
      else setLost("stream", false);
      if (state === "open") changed({ kind: "connected", step: null }); // events between the page and its stream
    },
  });
}

const { stream, streamLast } = document.body.dataset;
if (stream) start(stream, streamLast);
setInterval(() => { if (!document.hidden) changed({ kind: "tick", step: null }); }, TICK_MS);
setInterval(() => {
  if (!document.hidden && document.querySelector("[data-soon]")) document.dispatchEvent(new CustomEvent("scriptorium:soon"));
}, SOON_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) changed({ kind: "visible", step: null }); });

// Tells the sections of a page that something has changed. A page follows the stream in `data-stream`, that of the inbox
// unless it names another one; every page gets a tick from time to time. A section reacts with `hx-trigger="scriptorium:changed from:document throttle:1s"`.

import { follow } from "../scriptorium/stream.js";
import { setLost, tellStatus } from "./shell.js";

const TICK_MS = 20_000;
const SOON_MS = 4_000; // while a section has `data-soon`: what it shows changes, and no stream of the page tells of it

const changed = (detail) => document.dispatchEvent(new CustomEvent("scriptorium:changed", { detail }));

function start(path) {
  follow(path, {
    pauseHidden: true,
    onEvent: (event) => changed({ kind: event.event_type, step: event.step_id ?? null, execution: event.execution_id }),
    onCounts: () => changed({ kind: "inbox", step: null }),
    onReset: () => changed({ kind: "reset", step: null }),
    onError(problem, { final }) {
      if (final) tellStatus(problem.status);
    },
    onState(state, why) {
      setLost("stream", state === "waiting" && (why === "cut" || why === "offline"));
      if (state === "open") changed({ kind: "connected", step: null }); // events between the page and its stream
    },
  });
}

const { stream } = document.body.dataset;
if (stream) start(stream);
setInterval(() => { if (!document.hidden) changed({ kind: "tick", step: null }); }, TICK_MS);
setInterval(() => {
  if (!document.hidden && document.querySelector("[data-soon]")) document.dispatchEvent(new CustomEvent("scriptorium:soon"));
}, SOON_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) changed({ kind: "visible", step: null }); });

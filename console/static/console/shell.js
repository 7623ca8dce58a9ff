// What every page has: notices about the connection, errors of parts, kept input, the menu, and keys.

import { say } from "./texts.js";
import { forgetAll, forgetOld } from "./unsent.js";

const at = (name) => document.getElementById(name);
const lost = new Set(); // what cannot reach the server: the stream, a part

// Shows or hides the notice about the connection.
export function setLost(what, isLost) {
  if (isLost) lost.add(what);
  else lost.delete(what);
  at("connection").hidden = lost.size === 0;
}

function tell(message, link) {
  const faults = at("faults");
  if ([...faults.children].some((each) => each.firstChild.textContent === message)) return;
  const error = document.createElement("p");
  const text = document.createElement("span");
  text.textContent = message;
  const dismiss = document.createElement("button");
  dismiss.type = "button";
  dismiss.setAttribute("aria-label", say("Dismiss"));
  dismiss.textContent = "✕";
  dismiss.addEventListener("click", () => error.remove());
  error.className = "error";
  error.append(text, ...(link ? [link] : []), dismiss);
  faults.append(error);
}

function logInLink() {
  const link = document.createElement("a");
  link.href = `/login/?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = say("Log in again");
  return link;
}

// Shows an error of a part or of the stream. Errors never replace a part.
export function tellStatus(status, method = "GET") {
  if (status === 401) tell(`${say("Your session has ended.")} ${method === "GET" ? say("This page is no longer updated.") : say("Nothing was stored.")}`, logInLink());
  else if (status === 403 && method !== "GET") tell(say("The server has refused this. Nothing was stored. Reload the page, and try again."));
  else if (status === 404 && method !== "GET") tell(say("This is no longer available to you. Nothing was stored."));
  else if (status === 403 || status === 404) tell(say("A part of this page is no longer available to you."));
  else if (status >= 500) setLost("part", true);
  else if (status === 413) tell(say("This is larger than the server accepts. Nothing was stored."));
  else if (status >= 400) tell(say("The server has refused this. Nothing was stored."));
}

// Whether a refusal is a sentence for people, as pages send it when a role is too low.
const isSentence = ({ response, text }) => response.headers?.get("Content-Type")?.startsWith("text/plain") && text;

const UNREACHABLE = say("The server is not reachable. Send it again when the connection is back: it acts once.");
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  setLost("part", true);
  if (ctx && ctx.request?.method !== "GET") tell(UNREACHABLE);
});
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  const { status } = ctx.response;
  if (status < 400) setLost("part", false);
  else if (status === 403 && isSentence(ctx)) tell(`${ctx.text} ${say("Nothing was stored.")}`);
  else if (status !== 422) tellStatus(status, ctx.request.method); // 422: the form comes back with its faults
});

// A field that was changed keeps its value when its part is merged; `data-changed` marks it.
htmx.registerExtension("kept-input", {
  htmx_before_morph_attr: (field, { attrName }) => !(attrName === "value" && field.dataset.changed),
  htmx_before_morph_node: (old, { newNode: fresh }) => {
    if (old.localName === "textarea" && old.dataset.changed) fresh.textContent = old.defaultValue;
  },
});
document.addEventListener("input", ({ target }) => { target.dataset.changed = "true"; });

// The first field with a fault gets the focus, else what tells of the fault.
const focusFault = (container) =>
  (container.querySelector('[aria-invalid="true"]') ?? container.querySelector("[data-fault]"))?.focus();
document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => { if (ctx.response?.status === 422) focusFault(at("main")); });

// Fields without a value are left out of addresses.
document.addEventListener("formdata", ({ target, formData }) => {
  if (!target.hasAttribute("data-tidy")) return;
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", ({ target }) => closeMenus(target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = event.target.closest?.("details.menu[open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
  }
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.querySelector('[role="search"] input')?.focus();
  }
});

// On a narrow screen some sections begin closed.
if (matchMedia("(max-width: 47.99rem)").matches) {
  for (const section of document.querySelectorAll("details[data-wide]")) section.open = false;
}

focusFault(at("main"));
forgetOld();
at("log-out").addEventListener("submit", forgetAll);

// Input of large forms. The browser keeps it while it is typed; the server makes the form again from it.
//
// A place (`data-draft`) has a form. Its `data-action` answers with the place again. `data-sent`: the place shows what
// was sent or kept. `data-unshown`: it could not show what was kept; that stays kept until the person discards it.
// `data-page`: the address of the page, if that of the form is for sending alone.

import { make } from "./dom.js";
import { setLost } from "./shell.js";
import { say } from "./texts.js";
import { forget, isChanged, saved, store, unsent } from "./unsent.js";

// Tells this tab from others, also after a reload.
const TAB = (sessionStorage.tab ??= Math.random().toString(36));
export const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
const placeOf = (element) => element.closest?.("[data-draft]"); // htmx tells the document of a form that is gone

function pairsOf(form) {
  return [...new FormData(form)].filter(([name, value]) => typeof value === "string" && name !== "csrfmiddlewaretoken");
}

// Each tab keeps its own input. Returns whether it is kept.
export function save(place) {
  const form = place.querySelector("form");
  if (!form || "unshown" in place.dataset || "stored" in place.dataset) return false;
  if (!store(ownName(place), { pairs: pairsOf(form) })) return false;
  for (const name of saved(beginning(place))) if (isOwn(name) && name !== ownName(place)) forget(name);
  return true;
}

// What names of kept input begin with, for all versions of what the place shows.
const beginning = (place) => place.dataset.draft.replace(/[^/]*$/, "");
const ownName = (place) => `${place.dataset.draft}#${TAB}`;
const isOwn = (name) => name.endsWith(`#${TAB}`);

// The name of the kept input: of this tab, else of one that may be closed; of this version, else of an earlier one.
function keptName(place) {
  const names = saved(beginning(place));
  return names.find((name) => name === ownName(place)) ?? names.find(isOwn)
    ?? names.find((name) => name.startsWith(`${place.dataset.draft}#`)) ?? names[0];
}

function forgetAll(place) {
  for (const name of saved(beginning(place))) forget(name);
}

// What this tab has kept. The input of another tab stays: it may still be on the screen there.
export function forgetOwn(place) {
  for (const name of saved(beginning(place)).filter(isOwn)) forget(name);
}

// Names of the fields that were typed into before this script was here. Browsers fill in forms of reloaded pages themselves.
function typedIn(form) {
  const isNew = performance.getEntriesByType("navigation")[0]?.type === "navigate";
  if (!form || !isNew && form.autocomplete !== "off") return new Set();
  return new Set([...form.elements].filter((each) => each.name && isChanged(each)).map((each) => each.name));
}

// Returns the place with the kept input; null if the server did not make it.
async function made(place, { pairs }) {
  const body = new URLSearchParams([...pairs, ["show", "draft"], ["csrfmiddlewaretoken", token()]]);
  try {
    const response = await fetch(place.dataset.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return response.ok ? page.getElementById(place.id) : null;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the server is not reachable
    setLost("part", true);
    return null;
  }
}

async function restore(place) {
  const name = keptName(place), typed = typedIn(place.querySelector("form"));
  if (name === undefined) {
    if (typed.size) save(place);
    return;
  }
  let { pairs } = unsent(name);
  if (typed.size) {
    pairs = [...pairs.filter(([each]) => !typed.has(each)), ...pairsOf(place.querySelector("form")).filter(([each]) => typed.has(each))];
    store(ownName(place), { pairs });
  }
  place.inert = true;
  const fresh = await made(place, { pairs });
  if (fresh === null) {
    refuse(place);
    return;
  }
  place.replaceWith(fresh);
  htmx.process(fresh);
  if (save(fresh) && name !== ownName(fresh)) forget(name);
}

// Says that kept input could not be shown. The form stays closed: what is typed into it would replace the kept input.
function refuse(place) {
  place.dataset.unshown = "";
  const again = make("button", { type: "button" }, say("Try again"));
  const discard = make("button", { type: "button", class: "quiet" }, say("Discard it"));
  const notice = make("div", { class: "notice", role: "alert" },
    make("p", {}, say("Your unsaved text could not be shown. It is kept in this browser.")), again, discard);
  again.addEventListener("click", () => {
    notice.remove();
    delete place.dataset.unshown;
    restore(place);
  });
  discard.addEventListener("click", () => {
    forgetAll(place);
    location.reload();
  });
  place.before(notice);
}

document.addEventListener("input", ({ target }) => {
  const place = target.form && placeOf(target);
  if (place) save(place);
});

// The Enter key goes on to the next field: it would press the first button, which accepts a document.
const NEXT = "input:not([type=hidden]), textarea, select, button.primary";
document.addEventListener("keydown", (event) => {
  const { target, key, isComposing } = event;
  if (key !== "Enter" || isComposing || !target.matches?.(":is(.editor, .decision) input")) return;
  event.preventDefault();
  const fields = [...target.form.elements].filter((each) => each.matches(NEXT));
  fields[fields.indexOf(target) + 1]?.focus();
});

// A login in another tab changes the token.
document.addEventListener("submit", ({ target }) => {
  const field = target.elements.csrfmiddlewaretoken;
  if (field && token()) field.value = token();
}, true);

document.addEventListener("htmx:before:request", ({ target }) => {
  const place = target.localName === "form" && placeOf(target);
  if (place) place.inert = true; // nothing is typed into a form that is about to be replaced
});
document.addEventListener("htmx:after:request", ({ target, detail: { ctx } }) => {
  const place = placeOf(target);
  if (!place || ctx.hx?.trigger !== "stored") return;
  place.dataset.stored = ""; // until the next page is here, other parts of this one may still be swapped
  forgetOwn(place);
});
document.addEventListener("htmx:finally:request", ({ target }) => {
  const place = target.localName !== "div" && placeOf(target); // a part of the form is not the form
  if (place && !("unshown" in place.dataset)) place.inert = false;
});
document.addEventListener("htmx:after:swap", () => {
  for (const place of document.querySelectorAll("[data-draft][data-sent]")) save(place);
});

document.addEventListener("click", ({ target }) => {
  if (!target.closest("[data-discard]")) return;
  forgetAll(placeOf(target));
  location.reload();
});

// Settled when kept input is shown.
export const restored = Promise.all([...document.querySelectorAll("[data-draft]:not([data-sent])")].map(restore));

// The answer to a form that was sent before this script was here: reloading it would send the old input once more.
for (const place of document.querySelectorAll("[data-draft][data-sent]")) {
  save(place);
  history.replaceState(null, "", place.dataset.page ?? location.href);
}

// Input of large forms. The browser keeps it while it is typed; the server makes the form again from it.
//
// A place (`data-draft`) has a form. Its `data-action` answers with the place again. `data-sent`: the place shows what
// was sent or kept.

import { setLost } from "./shell.js";
import { forget, newest, store, unsent } from "./unsent.js";

const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
const placeOf = (element) => element.closest?.("[data-draft]"); // htmx tells the document of a form that is gone

function pairsOf(form) {
  return [...new FormData(form)].filter(([name, value]) => typeof value === "string" && name !== "csrfmiddlewaretoken");
}

export function save(place) {
  const form = place.querySelector("form");
  if (!form) return;
  forgetAll(place);
  store(place.dataset.draft, { pairs: pairsOf(form) });
}

// What names of kept input begin with, for all versions of what the place shows.
const beginning = (place) => place.dataset.draft.replace(/[^/]*$/, "");

// The name of the kept input: of this version, else of an earlier one.
const keptName = (place) => (unsent(place.dataset.draft) ? place.dataset.draft : newest(beginning(place)));

function forgetAll(place) {
  for (let name = newest(beginning(place)); name !== null; name = newest(beginning(place))) forget(name);
}

async function restore(place) {
  const name = keptName(place);
  if (name === null) return;
  place.inert = true;
  try {
    const body = new URLSearchParams([...unsent(name).pairs, ["show", "draft"], ["csrfmiddlewaretoken", token()]]);
    const response = await fetch(place.dataset.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById(place.id);
    place.replaceWith(fresh);
    htmx.process(fresh);
    save(fresh);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the server is not reachable; the input stays kept
    setLost("part", true);
  } finally {
    place.inert = false;
  }
}

document.addEventListener("input", ({ target }) => {
  const place = target.form && placeOf(target);
  if (place) save(place);
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
  if (place && ctx.hx?.trigger === "stored") forgetAll(place);
});
document.addEventListener("htmx:finally:request", ({ target }) => {
  const place = placeOf(target);
  if (place) place.inert = false;
});
document.addEventListener("htmx:after:swap", () => {
  for (const place of document.querySelectorAll("[data-draft][data-sent]")) save(place);
});

document.addEventListener("click", ({ target }) => {
  if (!target.closest("[data-discard]")) return;
  forgetAll(placeOf(target));
  location.reload();
});

for (const place of document.querySelectorAll("[data-draft]:not([data-sent])")) restore(place);

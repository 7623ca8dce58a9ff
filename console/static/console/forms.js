// Forms in pages that change by themselves: sent once, and never taken away with a text in them.

import { Problem } from "./api.js";
import { make } from "./dom.js";

// Sends a form by `act(submitter)`. Its buttons are off meanwhile, and stay off when it was taken; `refuse(error)` shows why not.
export function sends(form, { act, refuse }) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.state) return; // it is being sent, was sent, or has come too late
    const focused = document.activeElement;
    lock(form, "sending");
    for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
    try {
      await act(event.submitter);
      form.dataset.state = "sent";
    } catch (error) {
      unlock(form);
      refuse(error);
      (form.querySelector("[aria-invalid]") ?? focused)?.focus();
      if (!(error instanceof Problem)) throw error;
    }
  });
}

function lock(form, state) {
  form.dataset.state = state;
  for (const each of form.querySelectorAll("button[type=submit]")) each.disabled = true;
}

export function unlock(form) {
  delete form.dataset.state;
  for (const each of form.querySelectorAll("button[type=submit]")) each.disabled = false;
}

// Shows a form for each key. One that is there is left alone; one that is not wanted any more goes, unless it holds words
// that were not sent. `made` maps keys to functions; `discard` forgets what was written into a form.
export function showForms(place, made, { discard, after = null }) {
  for (const known of [...place.children]) {
    if (made.delete(known.dataset.key)) continue;
    const form = known.matches("form") ? known : known.querySelector("form");
    if (form.dataset.state === "sending") continue; // its answer is on its way, and tells more
    if (form.dataset.edited && form.dataset.state !== "sent") overtake(known, form, discard);
    else remove(known, after);
  }
  for (const [key, create] of made) {
    const form = create();
    form.dataset.key = key;
    place.append(form);
  }
}

function remove(known, after) {
  const held = known.contains(document.activeElement);
  known.remove();
  if (held) after?.focus();
}

function overtake(known, form, discard) {
  if (form.dataset.state === "overtaken") return;
  lock(form, "overtaken");
  const button = make("button", { type: "button" }, "Discard what I wrote");
  button.addEventListener("click", () => {
    discard(known.dataset.key);
    known.remove();
  });
  form.prepend(make("div", { class: "notice", role: "status" },
    make("p", {}, "This is answered or decided already, or the execution has ended. What you wrote was not sent."), button));
}

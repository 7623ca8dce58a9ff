// Forms in self-updating pages: they are submitted only once, and never removed while they contain unsent input.

import { Problem } from "./api.js";
import { make } from "./dom.js";

// Submits a form by `act(submitter)`. Its buttons are disabled meanwhile, and stay disabled after success; `refuse(error)`
// shows an error.
export function sends(form, { act, refuse }) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.state) return; // sending, sent, or overtaken
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

function unlock(form) {
  delete form.dataset.state;
  for (const each of form.querySelectorAll("button[type=submit]")) each.disabled = false;
}

// Shows a form for each key. Existing forms stay unchanged; obsolete forms are removed unless they contain unsent input.
// `made` maps keys to functions; `discard` removes the saved input of a form.
export function showForms(container, made, { discard, after = null }) {
  for (const known of [...container.children]) {
    if (made.delete(known.dataset.key)) continue;
    const form = known.matches("form") ? known : known.querySelector("form");
    if (form.dataset.state === "sending") continue; // its response is pending
    if (form.dataset.edited && form.dataset.state !== "sent") overtake(known, form, discard);
    else remove(known, after);
  }
  for (const [key, create] of made) {
    const form = create();
    form.dataset.key = key;
    container.append(form);
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
  const button = make("button", { type: "button" }, "Discard my input");
  button.addEventListener("click", () => {
    discard(known.dataset.key);
    known.remove();
  });
  form.prepend(make("div", { class: "notice", role: "status" },
    make("p", {}, "This was answered or decided already, or the execution has ended. Your input was not sent."), button));
}

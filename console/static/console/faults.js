// What went wrong, said at the top of the page until it is dismissed: no event and no refresh takes it away.

import { Problem } from "./api.js";
import { make } from "./dom.js";

export function tell(message) {
  const place = document.getElementById("faults");
  for (const known of [...place.children]) if (known.firstChild.textContent === message) known.remove();
  const dismiss = make("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "✕");
  const fault = make("p", { class: "error" }, make("span", {}, message), dismiss);
  dismiss.addEventListener("click", () => fault.remove());
  place.append(fault);
}

// Does something that a person has asked for; says by its name that it failed, and why.
export async function attempt(name, action) {
  try {
    await action();
  } catch (error) {
    tell(`${name} failed. ${error.message}`);
    if (!(error instanceof Problem)) throw error;
  }
}

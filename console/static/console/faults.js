// Error messages at the top of the page. They stay until dismissed; events and refreshes do not remove them.

import { Problem } from "./api.js";
import { make } from "./dom.js";
import { say } from "./texts.js";

export function tell(message) {
  const container = document.getElementById("faults");
  for (const known of [...container.children]) if (known.firstChild.textContent === message) known.remove();
  const dismiss = make("button", { type: "button", class: "quiet", "aria-label": say("Dismiss") }, "✕");
  const error = make("p", { class: "error" }, make("span", {}, message), dismiss);
  dismiss.addEventListener("click", () => error.remove());
  container.append(error);
}

// Runs an action of the user; on failure shows its name and the reason.
export async function attempt(name, action) {
  try {
    await action();
  } catch (error) {
    tell(`${say("{name} failed.", { name })} ${error.message}`);
    if (!(error instanceof Problem)) throw error;
  }
}

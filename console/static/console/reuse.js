// The choice to reuse what is current in a scope, and what the execution would then do.

import { Problem, get, post } from "./api.js";
import { money, words } from "./dom.js";

const PAUSE_MS = 300; // after which typed text is read

// Shows the choice while the scope has documents, and says what an execution would reuse. `asked()` returns the body of a
// start. `value` is what the start sends.
export function reuseChoice({ form, asked }) {
  const place = document.getElementById("reuse-choice");
  const expected = document.getElementById("reuse-expected");
  const box = form.elements.reuse;
  let later = null;
  let number = 0; // of the last question; older answers are ignored

  async function look() {
    const mine = ++number;
    const { workflow_id, scope_type, scope_id, input } = asked();
    const hasDocuments = Boolean(scope_type && scope_id) && !form.dry_run.checked
      && (await get("/documents/", { scope_type, scope_id, limit: 1 })).data.length > 0;
    if (mine !== number) return;
    place.hidden = !hasDocuments;
    if (!hasDocuments || !box.checked || !workflow_id) return tell("");
    const found = await post(`/workflows/${workflow_id}/estimate`, { scope_type, scope_id, input, reuse: "current" });
    if (mine === number) tell(sentences(found));
  }

  function tell(text) {
    if (expected.textContent !== text) expected.textContent = text;
  }

  function refuse(error) {
    if (!(error instanceof Problem)) throw error;
    tell(""); // what is missing is said at the start
  }

  const update = () => {
    clearTimeout(later);
    later = setTimeout(() => look().catch(refuse), PAUSE_MS);
  };
  form.addEventListener("input", update);
  return { update, get value() { return box.checked && !form.dry_run.checked ? "current" : "none"; } };
}

function sentences({ steps, cost_usd: cost, known_cost_usd: known }) {
  const names = (found) => found.map((each) => words(each.step_id)).join(", ");
  const reused = steps.filter((each) => each.reused > 0);
  const paid = steps.filter((each) => each.calls.high > 0);
  return [
    reused.length ? `It reuses ${names(reused)}.` : "It reuses nothing.",
    paid.length ? `It makes ${paid.length} ${paid.length === 1 ? "step" : "steps"} anew: ${names(paid)}.` : "No other step runs.",
    cost ? `Expected cost: ${money(cost.likely)}.` : `Expected cost: at least ${money(known.low)}.`,
  ].join(" ");
}

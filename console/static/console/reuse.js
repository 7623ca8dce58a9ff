// The choice to reuse what is current in a scope, and what the execution would then do.

import { Problem, ask, get } from "./api.js";
import { money, words } from "./dom.js";

const PAUSE_MS = 300; // after which typed text is read

// Shows the choice while the scope has documents, and says what an execution would reuse. `asked()` returns the body of a
// start. `value()` is what the start sends.
export function reuseChoice({ form, asked }) {
  const place = document.getElementById("reuse-choice");
  const expected = document.getElementById("reuse-expected");
  const box = form.elements.reuse;
  let later = null;
  let number = 0; // of the last question; older answers are ignored
  let asking = new AbortController(); // of the last estimate
  let offered = null; // whether the last question found documents

  async function offer(mine, scope) {
    const found = !form.dry_run.checked && await hasDocuments(scope);
    if (mine === number) place.hidden = !found;
    return found;
  }

  async function look() {
    clearTimeout(later);
    later = null;
    asking.abort();
    asking = new AbortController();
    const { signal } = asking, mine = ++number;
    const { workflow_id, input, ...scope } = asked();
    offered = offer(mine, scope);
    const found = await offered;
    if (mine !== number) return;
    const text = found && box.checked && workflow_id ? await estimate(workflow_id, { ...scope, input }, signal) : "";
    if (mine === number) tell(text);
  }

  function tell(text) {
    if (expected.textContent !== text) expected.textContent = text;
  }

  const update = () => {
    clearTimeout(later);
    later = setTimeout(look, PAUSE_MS);
  };
  form.addEventListener("input", update);
  // What a start sends: the choice counts if it is shown.
  const value = async () => {
    if (later !== null) look();
    await offered;
    return !place.hidden && box.checked && !form.dry_run.checked ? "current" : "none";
  };
  return { update, value };
}

async function hasDocuments(scope) {
  if (!Object.values(scope).every(Boolean)) return false;
  try {
    return (await get("/documents/", { ...scope, limit: 1 })).data.length > 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return false; // there can be no such scope, or the server does not answer now
  }
}

async function estimate(workflowId, given, signal) {
  try {
    return sentences(await ask(`/workflows/${workflowId}/estimate`, { ...given, reuse: "current" }, signal));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return `What it reuses is not known yet. ${error.errors[0]?.detail ?? error.message}`;
  }
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

// Costs of an execution: a row per step, which expands to its calls, and the prompt of each call.

import { Problem, get } from "./api.js";
import { badge, make, money, moment, spent } from "./dom.js";

const number = (value, label) => make("td", { class: "number", "data-label": label }, value.toLocaleString());

// `opened` holds the ids of the expanded steps.
export function costRows({ steps, total }, opened) {
  return [...steps.flatMap((step) => stepRows(step, opened)),
    make("tr", { class: "sum", id: "cost-total" }, make("td", {}, "Total"), make("td"), ...sums(total))];
}

// Expands and collapses steps, and shows prompts. The table listens, because its rows are replaced.
export function watchCosts(table, executionId, opened) {
  table.addEventListener("click", ({ target }) => {
    const { calls, prompt } = target.closest("button")?.dataset ?? {};
    if (prompt !== undefined) showPrompt(JSON.parse(prompt), executionId);
    if (calls === undefined) return;
    if (!opened.delete(calls)) opened.add(calls);
    target.closest("button").setAttribute("aria-expanded", String(opened.has(calls)));
    for (const row of table.querySelectorAll(`[data-of="${CSS.escape(calls)}"]`)) row.hidden = !opened.has(calls);
  });
}

const sums = (of) => [number(of.calls, "Calls"), number(of.total_tokens - of.output_tokens, "Tokens in"),
  number(of.output_tokens, "Tokens out"), make("td", { class: "number", "data-label": "US$" }, spent(of))];

function stepRows(step, opened) {
  const calls = step.attempts.flatMap(({ attempt, calls: made }) => made.map((call) => ({ ...call, attempt })));
  const models = [...new Set(calls.map((call) => call.requested_model))].join(", ");
  const isOpen = opened.has(step.step_id);
  const toggle = make("button", { type: "button", class: "fold", id: `fold-${step.step_id}`, "data-calls": step.step_id,
    "aria-expanded": String(isOpen), disabled: calls.length === 0 }, step.step_id);
  return [make("tr", { id: `cost-${step.step_id}` }, make("td", {}, toggle), make("td", { "data-label": "Model" }, models), ...sums(step)),
    ...calls.map((call) => callRow(call, step.step_id, isOpen))];
}

function callRow(call, stepId, isOpen) {
  const { attempt, kind, ordinal } = call;
  const name = `${kind}, attempt ${attempt}${ordinal > 1 ? `, try ${ordinal}` : ""}`;
  const id = `${stepId}-${kind}-${attempt}-${ordinal}`;
  const ask = make("button", { type: "button", class: "quiet", id: `ask-${id}`, "aria-label": `Prompt: ${stepId}, ${name}`,
    "data-prompt": JSON.stringify({ attempt, kind, ordinal, stepId }) }, "prompt");
  return make("tr", { class: "call", id: `call-${id}`, "data-of": stepId, hidden: !isOpen },
    make("td", {}, make("span", {}, name, " ", ask)),
    make("td", { "data-label": "Model" }, make("span", {}, `${call.model || call.requested_model} · ${moment(call.started_at)}`,
      call.error ? make("p", { class: "fault" }, call.error) : null)),
    make("td", { class: "number", "data-label": "Status" }, badge(call.status)),
    number(call.total_tokens - call.output_tokens, "Tokens in"), number(call.output_tokens, "Tokens out"),
    make("td", { class: "number", "data-label": "US$" }, costOf(call)));
}

const costOf = (call) => call.cost_usd === null && call.estimated_cost_usd !== null
  ? `at most ${money(call.estimated_cost_usd)}` : money(call.cost_usd);

async function showPrompt({ attempt, kind, ordinal, stepId }, executionId) {
  const close = make("button", { type: "submit", value: "close" }, "Close");
  const content = make("div", { class: "prompt" });
  const dialog = make("dialog", { class: "wide", "aria-label": `Prompt of ${stepId}` },
    make("form", { method: "dialog", class: "heading" }, make("h2", {}, `Prompt of ${stepId}`), close), content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const sent = await get(`/executions/${executionId}/steps/${stepId}/prompt`, { attempt, kind, ordinal });
    content.append(
      make("p", { class: "hint" }, `${sent.model} · attempt ${sent.attempt}, ${sent.kind} · ${moment(sent.started_at)} · SHA-256 ${sent.request_hash.slice(0, 12)}…`),
      make("p", { class: sent.exact ? "hint" : "notice" }, sent.exact
        ? "This is the exact prompt: its hash matches the recorded one."
        : "The inputs of this prompt have changed since the call: it may differ from the original."),
      make("h3", {}, "Instructions"), make("pre", {}, sent.instructions),
      ...sent.attachments.map((each) => make("p", {}, `Attached as it is: ${each.name} (${each.type}, ${each.size} bytes, SHA-256 ${each.sha256})`)),
      make("h3", {}, "Prompt"), make("pre", {}, sent.prompt),
      make("details", {}, make("summary", {}, "Schema of the output"), make("pre", {}, JSON.stringify(sent.output_schema, null, 2))));
  } catch (error) {
    content.append(make("p", { class: "error", role: "alert" }, error.message));
    if (!(error instanceof Problem)) throw error;
  }
}

// What an execution cost: a row for each step, which opens to its calls, and what each call has asked.

import { Problem, get } from "./api.js";
import { badge, make, money, moment, spent } from "./dom.js";

const number = (value) => make("td", { class: "number" }, value.toLocaleString());

// `opened` holds the ids of the steps that are open: rows are made anew with each event.
export function costRows({ steps, total }, executionId, opened) {
  return [...steps.flatMap((step) => stepRows(step, executionId, opened)),
    make("tr", { class: "sum" }, make("td", {}, "Total"), make("td"), ...sums(total))];
}

const sums = (of) => [number(of.calls), number(of.total_tokens - of.output_tokens), number(of.output_tokens),
  make("td", { class: "number" }, spent(of))];

function stepRows(step, executionId, opened) {
  const calls = step.attempts.flatMap(({ attempt, calls: made }) => made.map((call) => ({ ...call, attempt })));
  const models = [...new Set(calls.map((call) => call.requested_model))].join(", ");
  const rows = calls.map((call) => callRow(call, executionId, step.step_id));
  const toggle = make("button", { type: "button", class: "fold", "data-calls": step.step_id, disabled: calls.length === 0 }, step.step_id);
  const show = () => {
    toggle.setAttribute("aria-expanded", String(opened.has(step.step_id)));
    for (const row of rows) row.hidden = !opened.has(step.step_id);
  };
  toggle.addEventListener("click", () => {
    if (!opened.delete(step.step_id)) opened.add(step.step_id);
    show();
  });
  show();
  return [make("tr", {}, make("td", {}, toggle), make("td", {}, models), ...sums(step)), ...rows];
}

function callRow(call, executionId, stepId) {
  const name = `${call.kind}, attempt ${call.attempt}${call.ordinal > 1 ? `, try ${call.ordinal}` : ""}`;
  const ask = make("button", { type: "button", class: "quiet", "aria-label": `What was asked: ${stepId}, ${name}` }, "prompt");
  ask.addEventListener("click", () => showPrompt(call, executionId, stepId));
  return make("tr", { class: "call" },
    make("td", {}, name, " ", ask),
    make("td", {}, `${call.model || call.requested_model} · ${moment(call.started_at)}`,
      call.error ? make("p", { class: "fault" }, call.error) : null),
    make("td", { class: "number" }, badge(call.status)),
    number(call.total_tokens - call.output_tokens), number(call.output_tokens),
    make("td", { class: "number" }, costOf(call)));
}

const costOf = (call) => call.cost_usd === null && call.estimated_cost_usd !== null
  ? `at most ${money(call.estimated_cost_usd)}` : money(call.cost_usd);

async function showPrompt({ attempt, kind, ordinal }, executionId, stepId) {
  const close = make("button", { type: "submit", value: "close" }, "Close");
  const said = make("div", { class: "prompt" });
  const dialog = make("dialog", { class: "wide", "aria-label": `What ${stepId} was asked` },
    make("form", { method: "dialog", class: "heading" }, make("h2", {}, `What ${stepId} was asked`), close), said);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const sent = await get(`/executions/${executionId}/steps/${stepId}/prompt`, { attempt, kind, ordinal });
    said.append(
      make("p", { class: "hint" }, `${sent.model} · attempt ${sent.attempt}, ${sent.kind} · ${moment(sent.started_at)} · SHA-256 ${sent.request_hash.slice(0, 12)}…`),
      make("p", { class: sent.exact ? "hint" : "notice" }, sent.exact
        ? "This is what was sent: it has the hash that was noted then."
        : "Something that this was made from has changed since: it may differ from what was sent."),
      make("h3", {}, "Instructions"), make("pre", {}, sent.instructions),
      make("h3", {}, "Prompt"), make("pre", {}, sent.prompt),
      make("details", {}, make("summary", {}, "Schema of the answer"), make("pre", {}, JSON.stringify(sent.output_schema, null, 2))));
  } catch (error) {
    said.append(make("p", { class: "error", role: "alert" }, error.message));
    if (!(error instanceof Problem)) throw error;
  }
}

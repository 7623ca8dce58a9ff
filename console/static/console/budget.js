// Budget of an execution: usage of its limits, and a form to raise them while the execution waits.

import { patch } from "./api.js";
import { make, money, words } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const LIMITS = { max_cost_usd: "US dollars", max_tokens: "Tokens", max_calls: "Calls", max_seconds: "Seconds of work" };
const USED = {
  max_cost_usd: ({ cost_usd, known_cost_usd }) => cost_usd === null ? `${money(known_cost_usd)}, plus unknown costs` : money(cost_usd),
  max_tokens: ({ tokens }) => tokens.toLocaleString(),
  max_calls: ({ calls }) => calls.toLocaleString(),
  max_seconds: ({ seconds }) => Math.round(seconds).toLocaleString(),
};

const limitsOf = (budget) => Object.keys(LIMITS).filter((name) => budget?.[name] !== null && budget?.[name] !== undefined);

export const budgetLines = ({ budget }) => limitsOf(budget).map((name) => make("tr", { id: `limit-of-${name}`, "data-limit": name },
  make("td", { "data-label": "Limit" }, LIMITS[name]),
  make("td", { class: "number", "data-label": "Used or reserved" }, USED[name](budget.used)),
  make("td", { class: "number", "data-label": "At most" }, name === "max_cost_usd" ? money(budget[name]) : Number(budget[name]).toLocaleString())));

// Limits are numbers, but for an amount of money. What is no number goes as it is, and is refused.
function limitIn({ name, value }) {
  const text = value.trim();
  return !text ? null : name === "max_cost_usd" || Number.isNaN(Number(text)) ? text : Number(text);
}

export const waitsForBudget = ({ waiting_on: waiting }) => waiting.includes("budget");

// Name of a form's saved input: one per set of limits.
export const budgetName = ({ execution_id: id, budget }) =>
  `budget/${id}/${JSON.stringify(limitsOf(budget).map((name) => [name, budget[name]]))}`;

export function budgetForm(execution, steps, raised) {
  const short = [...new Set(steps.map((step) => step.blocked_by_limit).filter(Boolean))];
  const named = limitsOf(execution.budget);
  const errorText = make("p", { class: "error", role: "alert", hidden: true });
  const button = make("button", { type: "submit", class: "primary" }, "Raise the budget");
  const inputs = named.map((name) => make("input", {
    name, id: `limit-${name}`, inputmode: "decimal", autocomplete: "off",
    value: name === "max_cost_usd" ? execution.budget[name].replace(/\.?0+$/, "") : String(execution.budget[name]) }));
  const form = make("form", { class: "card questions budget", novalidate: true },
    make("h2", {}, "The next call exceeds the budget"),
    make("p", {}, `Limit reached: ${short.map(words).join(", ")}. Finished work is kept; with a higher budget the execution resumes.`),
    short.includes("scope_month") ? make("p", { class: "hint" }, "Staff can raise the monthly budget of a scope in the admin, under Scope budgets.") : null,
    named.length ? [make("fieldset", {}, make("legend", {}, "Limits; leave a field empty to remove its limit"), inputs.map((input) =>
      [make("label", { for: input.id }, LIMITS[input.name]), input]), errorText), make("div", { class: "actions" }, button)] : null);
  const name = budgetName(execution);
  sends(form, {
    async act() {
      errorText.hidden = true;
      await patch(`/executions/${execution.execution_id}/budget`,
        Object.fromEntries(inputs.map((input) => [input.name, limitIn(input)])));
      forget(name);
      raised();
    },
    refuse(error) {
      if (error.body?.status === 409) raised();
      errorText.textContent = (error.errors ?? []).map((each) => `${LIMITS[each.pointer.slice(1)] ?? each.pointer}: ${each.detail}`).join(" ") || error.message;
      errorText.hidden = false;
      for (const each of error.errors ?? []) form.elements[each.pointer.slice(1)]?.setAttribute("aria-invalid", "true");
    },
  });
  keep(form, name);
  return form;
}

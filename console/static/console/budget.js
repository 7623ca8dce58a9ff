// Limits of an execution: how near it is to them, and a form for who may raise them when it waits.

import { patch } from "./api.js";
import { make, money, words } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const LIMITS = { max_cost_usd: "US dollars", max_tokens: "Tokens", max_calls: "Calls", max_seconds: "Seconds of work" };
const USED = {
  max_cost_usd: ({ cost_usd, known_cost_usd }) => cost_usd === null ? `${money(known_cost_usd)}, and what nobody knows` : money(cost_usd),
  max_tokens: ({ tokens }) => tokens.toLocaleString(),
  max_calls: ({ calls }) => calls.toLocaleString(),
  max_seconds: ({ seconds }) => Math.round(seconds).toLocaleString(),
};

const limitsOf = (budget) => Object.keys(LIMITS).filter((name) => budget?.[name] !== null && budget?.[name] !== undefined);

export const budgetLines = ({ budget }) => limitsOf(budget).map((name) => make("tr", { id: `limit-of-${name}`, "data-limit": name },
  make("td", { "data-label": "Limit" }, LIMITS[name]),
  make("td", { class: "number", "data-label": "Used or reserved" }, USED[name](budget.used)),
  make("td", { class: "number", "data-label": "At most" }, name === "max_cost_usd" ? money(budget[name]) : Number(budget[name]).toLocaleString())));

export const waitsForBudget = ({ waiting_on: waiting }) => waiting.includes("budget");

// The limits that a form is about: with others it is another form.
export const budgetName = ({ execution_id: id, budget }) =>
  `budget/${id}/${JSON.stringify(limitsOf(budget).map((name) => [name, budget[name]]))}`;

export function budgetForm(execution, steps, raised) {
  const short = [...new Set(steps.map((step) => step.blocked_by_limit).filter(Boolean))];
  const named = limitsOf(execution.budget);
  const fault = make("p", { class: "error", role: "alert", hidden: true });
  const button = make("button", { type: "submit", class: "primary" }, "Raise the budget");
  const inputs = named.map((name) => make("input", {
    name, id: `limit-${name}`, inputmode: "decimal", autocomplete: "off",
    value: name === "max_cost_usd" ? execution.budget[name].replace(/\.?0+$/, "") : String(execution.budget[name]) }));
  const form = make("form", { class: "card questions budget", novalidate: true },
    make("h2", {}, "The next call does not fit the budget"),
    make("p", {}, `Short of: ${short.map(words).join(", ")}. Work that is done stays; with more the execution goes on where it is.`),
    short.includes("scope_month") ? make("p", { class: "hint" }, "Staff raise the month of a scope in the admin, under Scope budgets.") : null,
    named.length ? [make("fieldset", {}, make("legend", {}, "Limits; an empty one is taken away"), inputs.map((input) =>
      [make("label", { for: input.id }, LIMITS[input.name]), input]), fault), make("div", { class: "actions" }, button)] : null);
  const name = budgetName(execution);
  sends(form, {
    async act() {
      fault.hidden = true;
      await patch(`/executions/${execution.execution_id}/budget`,
        Object.fromEntries(inputs.map((input) => [input.name, input.value.trim() || null])));
      forget(name);
      raised();
    },
    refuse(error) {
      if (error.body?.status === 409) raised();
      fault.textContent = (error.errors ?? []).map((each) => `${LIMITS[each.pointer.slice(1)] ?? each.pointer}: ${each.detail}`).join(" ") || error.message;
      fault.hidden = false;
      for (const each of error.errors ?? []) form.elements[each.pointer.slice(1)]?.setAttribute("aria-invalid", "true");
    },
  });
  keep(form, name);
  return form;
}

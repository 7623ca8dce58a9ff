// One execution, live. The stream says that something happened; what it looks like now is read from the API.

import { Problem, get, post } from "./api.js";
import { badge, make, moment, money, readable, words } from "./dom.js";
import { questionForm } from "./questions.js";

const page = document.getElementById("execution");
const id = page.dataset.execution;
const at = (name) => document.getElementById(name);
const opened = new Map(); // document id and version → its element
const ENDED = new Set(["completed", "failed", "cancelled"]);

function showExecution(execution) {
  document.title = `${execution.status} · ${execution.workflow_id} · Scriptorium`;
  at("name").textContent = words(execution.workflow_id);
  at("facts").replaceChildren(
    `${execution.scope_type} / ${execution.scope_id} · version ${execution.workflow_version} · `,
    `${execution.requested_by || "the system"}, ${moment(execution.created_at)} · ${money(execution.cost_usd)} `,
    execution.rehearsal ? make("span", { class: "tag" }, "rehearsal") : "");
  at("status").replaceChildren(badge(execution.status));
  at("cancel").hidden = ENDED.has(execution.status);
  at("retry").hidden = !["failed", "cancelled"].includes(execution.status);
  at("error").hidden = !execution.error;
  at("error").textContent = execution.error ? `${execution.error.message} (${execution.error.code})` : "";
}

function stepCard(step) {
  const inputs = step.inputs.map((each) => `${words(each.type)} v${each.version}`).join(", ");
  return make("div", { class: "step", "data-status": step.status, "data-step": step.step_id },
    make("h3", {}, step.name),
    make("div", {}, badge(step.status)),
    make("p", {}, step.role, step.attempt > 1 ? ` · attempt ${step.attempt}` : ""),
    inputs ? make("p", {}, `reads ${inputs}`) : null,
    step.document ? make("p", {}, make("a", { href: `#document-${step.document.id}` }, `${words(step.produces)} v${step.document.version}`)) : null,
    step.status === "waiting" && step.resume_at ? make("p", {}, `goes on at ${moment(step.resume_at)}`) : null,
    step.error ? make("p", { class: "fault" }, step.error.message) : null);
}

function showSteps(steps) {
  const levels = new Map();
  for (const step of steps) levels.set(step.level, [...(levels.get(step.level) ?? []), step]);
  at("pipeline").replaceChildren(...[...levels.keys()].sort((a, b) => a - b)
    .map((level) => make("div", { class: "level" }, levels.get(level).map(stepCard))));
  showQuestions(steps.filter((step) => step.status === "waiting" && step.clarification?.answers === null));
}

function showQuestions(asking) {
  const wanted = new Set(asking.map((step) => `${step.step_id}/${step.clarification.round}`));
  for (const form of [...at("questions").children]) {
    if (!wanted.delete(`${form.dataset.step}/${form.dataset.round}`)) form.remove();
  }
  for (const step of asking) {
    if (wanted.has(`${step.step_id}/${step.clarification.round}`)) at("questions").append(questionForm(id, step, refresh));
  }
}

async function showDocuments(steps) {
  for (const { document: made } of steps) {
    if (!made || opened.has(`${made.id}/${made.version}`)) continue;
    opened.set(`${made.id}/${made.version}`, null);
    const found = await get(`/documents/${made.id}/versions/${made.version}`);
    if (at("documents").querySelector(".empty")) at("documents").replaceChildren();
    at("documents").append(documentCard(found));
  }
}

function documentCard(found) {
  const { title, ...rest } = found.content;
  const body = make("div", { class: "body" }, readable(rest));
  const raw = make("pre", { hidden: true }, JSON.stringify(found.content, null, 2));
  const toggle = make("button", { type: "button", class: "quiet" }, "JSON");
  toggle.addEventListener("click", () => {
    raw.hidden = !raw.hidden;
    body.hidden = !body.hidden;
    toggle.textContent = raw.hidden ? "JSON" : "Readable";
  });
  const origin = `${found.provenance.role ?? ""} · ${found.provenance.model ?? ""} · ${moment(found.created_at)}`;
  return make("details", { class: "card document", id: `document-${found.id}`, open: opened.size === 1 },
    make("summary", {}, make("h3", {}, title), make("span", { class: "hint" }, `${found.type} v${found.version}`),
      found.rehearsal ? make("span", { class: "tag" }, "rehearsal") : null),
    make("p", { class: "hint" }, origin, " ", toggle), body, raw);
}

function showCosts(costs) {
  const line = (name, model, sums, attributes = {}) => make("tr", attributes,
    make("td", {}, name), make("td", {}, model), make("td", { class: "number" }, String(sums.calls)),
    make("td", { class: "number" }, (sums.total_tokens - sums.output_tokens).toLocaleString()),
    make("td", { class: "number" }, sums.output_tokens.toLocaleString()),
    make("td", { class: "number" }, money(sums.cost_usd)));
  const models = (step) => [...new Set(step.attempts.flatMap((each) => each.calls.map((call) => call.requested_model)))].join(", ");
  at("costs").replaceChildren(...costs.steps.map((step) => line(step.step_id, models(step), step)),
    line("Total", "", costs.total, { class: "sum" }));
}

let reading = null;
let again = false;

// Events come in bursts; one reading answers all that came before it.
async function refresh() {
  if (reading) { again = true; return reading; }
  reading = (async () => {
    do {
      again = false;
      const [execution, steps, costs] = await Promise.all([
        get(`/executions/${id}`), get(`/executions/${id}/steps`, { limit: 200 }), get(`/telemetry/executions/${id}/costs`)]);
      showExecution(execution);
      showSteps(steps.data);
      showCosts(costs);
      await showDocuments(steps.data);
    } while (again);
  })().finally(() => { reading = null; });
  return reading;
}

function follow() {
  const source = new EventSource(`/api/v1/executions/${id}/stream`);
  let last = "";
  const told = (message) => {
    const event = JSON.parse(message.data);
    last = event.event_type;
    at("log").append(make("li", {}, `${event.sequence}  ${event.timestamp}  ${event.event_type}  ${event.step_id ?? ""}`));
    refresh();
  };
  for (const name of ["execution_created", "execution_started", "step_started", "remediation_started", "clarification_needed",
    "clarification_answered", "step_completed", "step_failed", "step_cancelled", "step_skipped", "execution_waiting",
    "execution_resumed", "execution_retried", "complete"]) source.addEventListener(name, told);
  source.addEventListener("open", () => { at("connection").hidden = true; });
  // After the end the server closes, and answers the browser's next try with 204: nothing was lost then.
  source.addEventListener("error", () => {
    at("connection").hidden = last === "complete" || source.readyState === EventSource.CLOSED;
  });
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    at("error").textContent = error.message;
    at("error").hidden = false;
  }
}

at("cancel").addEventListener("click", () => attempt(async () => {
  if (!confirm("Stop this execution? A model call under way is ended; what it costs is still counted.")) return;
  await post(`/executions/${id}/cancel`);
  await refresh();
}));

at("retry").addEventListener("click", () => attempt(async () => {
  await post(`/executions/${id}/retry`);
  location.reload();  // with a stream of its own: the old one has ended
}));

refresh().then(follow).catch((error) => {
  at("error").textContent = error.message;
  at("error").hidden = false;
});

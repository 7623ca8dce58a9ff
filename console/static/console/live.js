// Live view of one execution. The stream reports changes; the current state is read from the API.

import { Problem, all, get, post } from "./api.js";
import { badge, flag, make, moment, readable, spent, words } from "./dom.js";
import { acceptanceForm, acceptanceName } from "./acceptance.js";
import { budgetForm, budgetLines, budgetName, waitsForBudget } from "./budget.js";
import { costRows, watchCosts } from "./costs.js";
import { attempt, tell } from "./faults.js";
import { showForms } from "./forms.js";
import { morph } from "./morph.js";
import { questionForm, questionName } from "./questions.js";
import { forget } from "./unsent.js";
import { follow as followStream } from "../scriptorium/stream.js";

const page = document.getElementById("execution");
const id = page.dataset.execution;
const at = (name) => document.getElementById(name);
const documents = new Map(); // document id → displayed version and its element
const drafts = new Map(); // step id → live text
const opened = new Set(); // ids of the steps with visible calls
const FORMS = { discard: forget, after: at("name") }; // `after` gets the focus of a removed form
const WRITING = new Set(["running", "remediating"]);
const MAX_VIOLATIONS = 5; // on a card
const RETRY_MS = 2000;
const REFRESH_SECONDS = 30; // between refreshes without an event

function showExecution(execution) {
  document.title = `${execution.dry_run ? "Dry run · " : ""}${execution.status} · ${execution.workflow_id} · Scriptorium`;
  at("name").textContent = words(execution.workflow_id);
  morph(at("facts"),
    `${execution.scope_type} / ${execution.scope_id} · version ${execution.workflow_version} · `,
    `${execution.requested_by || "the system"}, ${moment(execution.created_at)} · ${spent(execution)} `,
    flag(execution) ?? "");
  at("dry-run").hidden = !execution.dry_run;
  morph(at("status"), badge(execution.status));
  at("cancel").hidden = !execution.may.includes("cancel");
  at("retry").hidden = !execution.may.includes("retry");
  at("failure").hidden = !execution.error;
  at("failure").textContent = execution.error ? `${execution.error.message} (${execution.error.code})` : "";
}

function stepCard(step) {
  const inputs = step.inputs.map((each) => `${words(each.type)} v${each.version}`).join(", ");
  return make("div", { class: "step", id: `step-${step.step_id}`, "data-status": step.status, "data-step": step.step_id },
    make("h3", {}, step.name),
    make("div", {}, badge(step.status)),
    make("p", {}, step.role, step.attempt > 1 ? ` · attempt ${step.attempt}` : ""),
    inputs ? make("p", {}, `reads ${inputs}`) : null,
    step.document ? make("p", {}, make("a", { id: `to-document-${step.document.id}`, href: `#document-${step.document.id}` }, `${words(step.produces)} v${step.document.version}`)) : null,
    step.status === "waiting" && step.resume_at ? make("p", {}, `resumes at ${moment(step.resume_at, "medium")}`) : null,
    step.status === "waiting" && step.deferred_because ? make("p", { class: "hint" }, step.deferred_because) : null,
    step.blocked_by_limit ? make("p", {}, `waits for a higher budget: ${words(step.blocked_by_limit)}`) : null,
    step.error ? make("p", { class: "fault" }, step.error.message) : null,
    violationsOf(step),
    draftOf(step));
}

// Errors of an output that was sent back or failed.
function violationsOf({ status, violations }) {
  if (!["remediating", "failed"].includes(status) || violations.length === 0) return null;
  const lines = violations.slice(0, MAX_VIOLATIONS).map(({ pointer, detail }) => `${pointer} ${detail}`.trim());
  if (violations.length > lines.length) lines.push(`and ${violations.length - lines.length} more`);
  return make("ul", { class: "violations", "aria-label": "Errors of the output" }, lines.map((each) => make("li", {}, each)));
}

// Live text of a step, always plain text.
function draftOf(step) {
  if (!WRITING.has(step.status)) return null;
  const place = make("pre", { class: "draft", "data-draft": step.step_id, "aria-label": `Live text of ${step.name}` });
  write(place, drafts.get(step.step_id) ?? "");
  return place;
}

function write(place, text) {
  place.textContent = text;
  place.hidden = !text;
  place.scrollTop = place.scrollHeight;
}

function showDraft({ step_id, text }) {
  drafts.set(step_id, text);
  const place = at("pipeline").querySelector(`[data-draft="${CSS.escape(step_id)}"]`);
  if (place) write(place, text);
}

const NOTABLE = ["failed", "waiting", "remediating", "running", "pending", "cancelled", "skipped", "completed"];

// One card for all items of a collection: counts by status, and the names of unfinished items.
function itemsCard(steps) {
  const by = new Map(NOTABLE.map((status) => [status, steps.filter((step) => step.status === status)]));
  const status = NOTABLE.find((each) => by.get(each).length) ?? "pending";
  const named = ["failed", "waiting", "remediating", "running"].flatMap((each) => by.get(each)).slice(0, 8);
  const slug = steps[0].step_id.split("@")[0];
  return make("div", { class: "step", id: `step-${slug}`, "data-status": status, "data-step": slug },
    make("h3", {}, steps[0].name),
    make("div", {}, badge(status)),
    make("p", {}, `${steps[0].role} · ${by.get("completed").length} of ${steps.length} done`),
    make("meter", { min: 0, max: steps.length, value: by.get("completed").length, "aria-label": "Items done" }),
    ...named.map((step) => [make("p", { class: step.error ? "fault" : null, title: step.error?.message },
      `${step.status}: ${step.item.keys.join(" / ")} ${step.item.label}`), draftOf(step)]));
}

// Whether the person may act on a step. A form that holds typed text stays when a role is lost.
const offers = (container, step, action) => step.may.includes(action)
  || at(container).querySelector(`form[data-step="${CSS.escape(step.step_id)}"][data-edited]`) !== null;

function showSteps(steps) {
  const levels = new Map();
  const cards = new Map();
  for (const step of steps) cards.set(step.step_id.split("@")[0], [...(cards.get(step.step_id.split("@")[0]) ?? []), step]);
  for (const card of cards.values()) levels.set(card[0].level, [...(levels.get(card[0].level) ?? []), card]);
  morph(at("pipeline"), [...levels.keys()].sort((a, b) => a - b)
    .map((level) => make("div", { class: "level", id: `level-${level}` },
      levels.get(level).map((card) => card[0].item ? itemsCard(card) : stepCard(card[0])))));
  for (const place of at("pipeline").querySelectorAll(".draft")) place.scrollTop = place.scrollHeight;
  const asking = steps.filter((step) => step.status === "waiting" && step.clarification?.answers === null && offers("questions", step, "answer"));
  showForms(at("questions"), new Map(asking.map((step) => [questionName(id, step), () => questionForm(id, step, update)])), FORMS);
  const deciding = steps.filter((step) => step.acceptance?.needed && offers("acceptance", step, "decide"));
  showForms(at("acceptance"), new Map(deciding.map((step) => [acceptanceName(id, step), () => acceptanceForm(id, step, update)])), FORMS);
}

function showBudget(execution, steps) {
  const lines = budgetLines(execution);
  morph(at("limits"), lines);
  at("limits").closest("section").hidden = lines.length === 0;
  const wanted = waitsForBudget(execution) && execution.may.includes("budget") ? [[budgetName(execution), () => budgetForm(execution, steps, update)]] : [];
  showForms(at("budget"), new Map(wanted), FORMS);
}

// Documents of items are grouped by step. The content of a document is loaded when it is opened.
function showDocuments(steps) {
  at("downloads").hidden = document.querySelector("[data-erased]") !== null || !steps.some((step) => step.document && step.status === "completed");
  for (const step of steps) {
    const made = step.document;
    const shown = made && documents.get(made.id);
    if (!made || shown?.version === made.version) continue;
    at("documents").querySelector(".empty")?.remove();
    const card = documentCard(step, documents.size === 0 || shown?.card.open);
    if (shown) {
      const held = shown.card.contains(document.activeElement);
      shown.card.replaceWith(card);
      if (held) card.querySelector("summary").focus({ preventScroll: true });
    } else (step.item ? group(step) : at("documents")).append(card);
    documents.set(made.id, { version: made.version, card });
  }
}

function group(step) {
  const name = `group-${step.produces}`;
  if (!at(name)) {
    at("documents").append(make("details", { class: "card document group" },
      make("summary", {}, make("h3", {}, words(step.produces)), make("span", { class: "hint" })), make("div", { class: "body", id: name })));
  }
  const all = at(name);
  all.parentElement.querySelector("summary .hint").textContent = `${all.children.length + 1}`;
  return all;
}

function documentCard(step, open) {
  const made = step.document;
  const summary = make("summary", {}, make("h3", {}, made.title),
    make("span", { class: "hint" }, `${made.type} v${made.version}${step.item ? ` · ${step.item.keys.join(" / ")}` : ""}`));
  const card = make("details", { class: "card document", id: `document-${made.id}`, open: Boolean(open) }, summary);
  let filled = false;
  const fill = () => attempt(`Opening "${made.title}"`, async () => {
    if (filled) return;
    filled = true;
    try {
      const found = await get(`/documents/${made.id}/versions/${made.version}`);
      summary.append(flag(found) ?? "");
      card.append(...documentBody(found));
    } catch (error) {
      filled = false; // retry when it is opened again
      throw error;
    }
  });
  if (open) fill();
  card.addEventListener("toggle", () => { if (card.open) fill(); });
  return card;
}

function documentBody(found) {
  if (found.erased_at) return [make("p", { class: "hint" }, `The contents of this version were erased, ${moment(found.erased_at)}.`)];
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
  return [make("p", { class: "hint" }, origin, " ", toggle), body, raw];
}

let reading = null;
let again = false;

// Events come in bursts; one refresh covers all earlier events.
async function refresh() {
  if (reading) { again = true; return reading; }
  reading = (async () => {
    do {
      again = false;
      const [execution, steps, costs] = await Promise.all([
        get(`/executions/${id}`), all(`/executions/${id}/steps`), get(`/telemetry/executions/${id}/costs`)]);
      showExecution(execution);
      showSteps(steps);
      showBudget(execution, steps);
      morph(at("costs"), costRows(costs, opened));
      showDocuments(steps);
    } while (again);
  })().finally(() => { reading = null; });
  return reading;
}

let later = null;

// Refreshes, and retries after temporary errors.
function update() {
  clearTimeout(later);
  refresh().catch((error) => {
    if (!(error instanceof Problem)) throw error;
    if (error.isTransient) later = setTimeout(update, RETRY_MS);
    else tell(error.message);
  });
}

function follow() {
  let last = "";
  const stream = followStream(`/api/v1/executions/${id}/stream`, {
    pauseHidden: true,
    onEvent(event) {
      last = event.event_type;
      if (last !== "step_started" && event.step_id) drafts.delete(event.step_id);
      at("log").append(make("li", {}, `${event.sequence}  ${event.timestamp}  ${last}  ${event.step_id ?? ""}`));
      update();
    },
    onDelta: showDraft,
    onReset: update,
    onState(state, why) {
      at("connection").hidden = state !== "waiting" || why === "hidden" || why === "starting" || last === "complete";
    },
    onError(problem, { final }) {
      if (final) tell(problem.detail);
    },
  });
  // A hidden page closes its stream, but keeps its title current. A deferred step beside running ones has no event.
  setInterval(() => {
    if (stream.state !== "closed") update();
  }, REFRESH_SECONDS * 1000);
}

at("cancel").addEventListener("click", () => attempt("Cancel", async () => {
  if (!confirm("Stop this execution? A running model call is cancelled; its cost still counts.")) return;
  await post(`/executions/${id}/cancel`);
  update();
}));

at("retry").addEventListener("click", () => attempt("Retry", async () => {
  await post(`/executions/${id}/retry`);
  location.reload();  // opens a new stream: the old one has ended
}));

// A link to a document opens it and its group.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#document-"]');
  for (let each = link && at(link.hash.slice(1)); each; each = each.parentElement) if (each.localName === "details") each.open = true;
});

watchCosts(at("costs"), id, opened);
update();
follow();

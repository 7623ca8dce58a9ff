// The form that starts an execution, exactly once even if it is sent repeatedly.

import { Problem, get, newKey, post } from "./api.js";
import { make } from "./dom.js";
import { attempt } from "./faults.js";
import { sends, unlock } from "./forms.js";
import { reuseChoice } from "./reuse.js";
import { forget, keep, unsent } from "./unsent.js";
import { uploads } from "./uploads.js";

const NAME = "start";
const FIELDS = ["workflow_id", "scope_type", "scope_id"];
const form = document.getElementById("start-form");
const errorText = document.getElementById("start-error");
let workflows = [];
let key = null; // idempotency key of the form's start, saved with its input
let save = null; // set once the input is saved
const files = uploads({ list: document.getElementById("attached"), input: document.getElementById("files"), area: form, changed: () => { save?.(); reuse.update(); } });

const reuse = reuseChoice({ form, asked });

function describe() {
  const chosen = workflows.find((each) => each.id === form.workflow_id.value);
  document.getElementById("workflow-about").textContent = chosen ? `${chosen.description} ${chosen.step_count} step(s).` : "";
}

async function open() {
  workflows = (await get("/workflows/", { limit: 200 })).data;
  const chosen = form.workflow_id.value;
  form.workflow_id.replaceChildren(...workflows.map((each) => make("option", { value: each.id, selected: each.id === chosen }, each.name)));
  key ??= unsent(NAME)?.key ?? newKey();
  if (!save) files.restore(unsent(NAME)?.files ?? []);
  save ??= keep(form, NAME, () => ({ key, files: files.kept }));
  const wanted = new URLSearchParams(location.search).get("workflow");
  if (wanted && workflows.some((each) => each.id === wanted)) choose(wanted);
  describe();
  reuse.update();
}

// `?workflow=note` chooses a workflow. A reload must not choose it again.
function choose(wanted) {
  history.replaceState(null, "", location.pathname);
  form.workflow_id.value = wanted;
  save();
}

// The brief: a text, a text with files, or files alone.
function brief() {
  const text = form.input.value.trim() ? form.input.value : null;
  return files.ids.length ? { ...(text === null ? {} : { text }), files: files.ids } : text;
}

// What the fields say, without the choices; an empty field is null.
function asked() {
  const named = FIELDS.map((name) => [name, form[name].value.trim() ? form[name].value : null]);
  return { ...Object.fromEntries(named), input: brief() };
}

function refuse(error) {
  const places = (error.errors ?? []).map((each) => `${each.pointer.slice(1)}: ${each.detail}`);
  errorText.textContent = places.length ? places.join(" ") : error.message;
  errorText.hidden = false;
  for (const each of error.errors ?? []) form.elements[each.pointer.split("/")[1]]?.setAttribute("aria-invalid", "true");
  if (error.body?.code !== "idempotency-key-reused") return;
  errorText.textContent = "This form has already started an execution with other values; see the list. Start again to start another execution.";
  key = newKey();
  save();
}

form.workflow_id.addEventListener("change", describe);
document.getElementById("file").addEventListener("change", (event) => attempt("Loading the file", async () => {
  const [file] = event.target.files;
  if (!file) return;
  form.input.value = await file.text();
  reuse.update();
  save();
}));
sends(form, {
  async act() {
    errorText.hidden = true;
    if (files.isBusy) throw new Problem({ status: 0, detail: "A file is still being uploaded." });
    const chosen = await reuse.value();
    const started = await post("/executions/", { ...asked(), dry_run: form.dry_run.checked, reuse: chosen }, { "Idempotency-Key": key });
    forget(NAME);
    location.assign(`/executions/${started.execution_id}/`);
  },
  refuse,
});
// A page restored from the browser's cache still has the sent values.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted || form.dataset.state !== "sent") return;
  form.reset();
  files.clear();
  key = newKey();
  unlock(form);
  attempt("Opening the form", open);
});
attempt("Opening the form", open);

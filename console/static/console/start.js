// The form that starts an execution, exactly once even if it is sent repeatedly.

import { Problem, newKey, post } from "./api.js";
import { attempt } from "./faults.js";
import { sends, unlock } from "./forms.js";
import { reuseChoice } from "./reuse.js";
import { forget, keep, unsent } from "./unsent.js";
import { uploads } from "./uploads.js";

const NAME = "start";
const FIELDS = ["workflow_id", "scope_type", "scope_id"];
const form = document.getElementById("start-form");
const errorText = document.getElementById("start-error");
const wanted = new URLSearchParams(location.search).get("workflow"); // the address goes before saved input
let key = unsent(NAME)?.key ?? newKey(); // idempotency key of the form's start, saved with its input
const files = uploads({ list: document.getElementById("attached"), input: document.getElementById("files"), area: form, changed: () => { save(); reuse.update(); } });
files.restore(unsent(NAME)?.files ?? []);
const save = keep(form, NAME, () => ({ key, files: files.kept }));
const reuse = reuseChoice({ form, asked });

function describe() {
  document.getElementById("workflow-about").textContent = form.workflow_id.selectedOptions[0]?.dataset.about ?? "";
}

function open() {
  const choice = form.workflow_id;
  if (wanted) choice.value = wanted;
  if (choice.selectedIndex < 0) choice.selectedIndex = 0; // what was wanted or saved is not offered any more
  describe();
  reuse.update();
  if (!location.search) return;
  history.replaceState(null, "", location.pathname); // a reload shows what is chosen then
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

// The name of a place in the request as the form shows it.
function nameOf(pointer) {
  const field = form.elements[pointer.split("/")[1]];
  return field?.labels?.[0]?.textContent.trim() ?? pointer.slice(1);
}

function refuse(error) {
  const places = (error.errors ?? []).map((each) => `${nameOf(each.pointer)}: ${each.detail}`);
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
  open();
});
open();

// The form that starts an execution: texts and files of its brief. The server makes the form, and what follows it.

import { restored, save, token } from "./drafts.js";
import { attempt, tell } from "./faults.js";
import { say } from "./texts.js";
import { isUploading, removeFile, upload } from "./uploads.js";

const TEXT = /\.(md|txt)$/i;
const place = () => document.getElementById("starting");
const form = () => document.getElementById("start-form");

// Keeps what a script has changed, and lets what follows the fields follow.
function changed() {
  save(place());
  form().dispatchEvent(new CustomEvent("scriptorium:filled"));
}

// A text goes below what is written already.
const load = (file) => attempt(say("Loading the file"), async () => {
  const field = form().elements.input;
  const text = (await file.text()).replace(/^\uFEFF/, "");
  field.value = field.value.trim() ? `${field.value.trimEnd()}\n\n${text}` : text;
  field.dataset.changed = "true";
  changed();
});

function add(files) {
  for (const file of files) upload(file, { list: document.getElementById("attached"), changed });
}

function take(input) {
  const files = [...input.files];
  input.value = "";
  if (input.id === "files") add(files);
  else files.forEach(load);
}

document.addEventListener("change", ({ target }) => { if (target.matches("#start-form input[type=file]")) take(target); });
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-remove-file]");
  if (!button) return;
  removeFile(button.closest("li"));
  document.getElementById("files").focus();
  changed();
});

const isOverForm = ({ target, dataTransfer }) => target.closest?.("#start-form") && dataTransfer.types.includes("Files");
document.addEventListener("dragover", (event) => {
  const isOver = Boolean(isOverForm(event));
  form()?.classList.toggle("dropping", isOver);
  if (isOver) event.preventDefault();
});
document.addEventListener("dragleave", ({ relatedTarget }) => { if (!relatedTarget) form()?.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  form()?.classList.remove("dropping");
  const files = [...event.dataTransfer.files];
  if (!event.target.closest?.("#start-form") || !files.length) return;
  event.preventDefault();
  const isText = (file) => event.target.matches("textarea") && TEXT.test(file.name);
  files.filter(isText).forEach(load);
  add(files.filter((file) => !isText(file)));
});

document.addEventListener("submit", (event) => {
  if (event.target !== form() || !isUploading()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(say("A file is still being uploaded. Start when it is there."));
}, true);

// What was typed is kept by then: a reload shows it, and no longer what the address wants. A login in another tab
// changes the token.
document.addEventListener("input", ({ target }) => {
  if (!form()?.contains(target)) return;
  form().elements.csrfmiddlewaretoken.value = token();
  history.replaceState(null, "", place().dataset.page);
});

// A page restored from the browser's cache still has the sent values.
window.addEventListener("pageshow", ({ persisted }) => { if (persisted && "stored" in (place()?.dataset ?? {})) location.reload(); });

// Files that were chosen before this script was here. Kept input replaces the form.
const early = [...document.querySelectorAll("#start-form input[type=file]")].map(({ id, files }) => [id, [...files]]);
await restored;
for (const [id, files] of early) {
  if (id === "files") add(files);
  else files.forEach(load);
}

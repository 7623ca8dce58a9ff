// The list of executions, refreshed while it is looked at, and the form that starts one.

import { Problem, get, post } from "./api.js";
import { badge, flag, make, moment, spent } from "./dom.js";

const REFRESH_MS = 3000;
const rows = document.getElementById("rows");
const more = document.getElementById("more");
let status = "";
let shown = 0; // pages; only the first refreshes by itself
let cursor = null;

function row(execution) {
  const { done_steps: done, total_steps: total } = execution.progress;
  return make("tr", {},
    make("td", {}, badge(execution.status)),
    make("td", {}, make("a", { href: `/executions/${execution.execution_id}/` }, execution.workflow_id), " ",
      flag(execution)),
    make("td", {}, `${execution.scope_type} / ${execution.scope_id}`),
    make("td", {}, make("span", { class: "meter" }, make("progress", { value: done, max: total }), `${done} of ${total}`)),
    make("td", { class: "number" }, spent(execution)),
    make("td", {}, moment(execution.created_at)));
}

async function load(following = false) {
  const page = await get("/executions/", { status, limit: 25, cursor: following ? cursor : "" });
  const found = page.data.map(row);
  if (following) rows.append(...found); else rows.replaceChildren(...found);
  shown = following ? shown + 1 : 1;
  cursor = page.next_cursor;
  more.hidden = !cursor;
  document.getElementById("empty").hidden = rows.children.length > 0;
}

for (const button of document.querySelectorAll(".filters button")) {
  button.addEventListener("click", () => {
    document.querySelectorAll(".filters button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    status = button.dataset.status;
    load();
  });
}
more.addEventListener("click", () => load(true));
setInterval(() => { if (shown < 2 && !document.hidden) load().catch(() => {}); }, REFRESH_MS);
load();

const dialog = document.getElementById("start");
const form = document.getElementById("start-form");
const fault = document.getElementById("start-error");
let workflows = [];

function describe() {
  const chosen = workflows.find((each) => each.id === form.workflow_id.value);
  document.getElementById("workflow-about").textContent = chosen ? `${chosen.description} ${chosen.step_count} step(s).` : "";
}

document.getElementById("open-start").addEventListener("click", async () => {
  workflows = (await get("/workflows/", { limit: 200 })).data;
  form.workflow_id.replaceChildren(...workflows.map((each) => make("option", { value: each.id }, each.name)));
  describe();
  dialog.showModal();
});
document.getElementById("close-start").addEventListener("click", () => dialog.close());
form.workflow_id.addEventListener("change", describe);
document.getElementById("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) form.input.value = await file.text();
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.hidden = true;
  try {
    const started = await post("/executions/", Object.fromEntries(
      [...["workflow_id", "scope_type", "scope_id"].map((name) => [name, form[name].value]),
        ["input", form.input.value.trim() ? form.input.value : null], ["dry_run", form.dry_run.checked]]));
    location.assign(`/executions/${started.execution_id}/`);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const places = error.errors.map((each) => `${each.pointer.slice(1)}: ${each.detail}`);
    fault.textContent = places.length ? places.join(" ") : error.message;
    fault.hidden = false;
  }
});

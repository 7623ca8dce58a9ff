// The list of executions, refreshed while the page is visible.

import { Problem, get } from "./api.js";
import { badge, flag, make, moment, spent } from "./dom.js";
import { attempt, tell } from "./faults.js";
import { morph } from "./morph.js";
import "./start.js";

const REFRESH_MS = 3000;
const rows = document.getElementById("rows");
const more = document.getElementById("more");
const connection = document.getElementById("connection");
let status = "";
let shown = 0; // number of pages; only the first page refreshes automatically
let cursor = null;
let asked = 0; // number of the last request; older responses are ignored
let acting = 0; // pending requests of the user, during which no refresh starts

function row(execution) {
  const { done_steps: done, total_steps: total } = execution.progress;
  const id = execution.execution_id;
  return make("tr", { id: `execution-${id}` },
    make("td", { "data-label": "Status" }, badge(execution.status)),
    make("td", { "data-label": "Workflow" }, make("span", {}, make("a", { id: `open-${id}`, href: `/executions/${id}/` }, execution.workflow_id), " ",
      flag(execution))),
    make("td", { "data-label": "Scope" }, `${execution.scope_type} / ${execution.scope_id}`),
    make("td", { "data-label": "Progress" }, make("span", { class: "meter" }, make("progress", { value: done, max: total }), `${done} of ${total}`)),
    make("td", { class: "number", "data-label": "Cost" }, spent(execution)),
    make("td", { "data-label": "Started" }, moment(execution.created_at)));
}

async function load({ wanted = status, following = false } = {}) {
  const number = ++asked;
  const page = await get("/executions/", { status: wanted, limit: 25, cursor: following ? cursor : "" });
  connection.hidden = true;
  if (number !== asked) return;
  const found = page.data.map(row);
  if (following) rows.append(...found); else morph(rows, found);
  status = wanted;
  document.querySelectorAll(".filters button").forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.status === status)));
  shown = following ? shown + 1 : 1;
  cursor = page.next_cursor;
  more.hidden = !cursor;
  document.getElementById("empty").hidden = rows.children.length > 0;
}

function look() {
  load().catch((error) => {
    if (!(error instanceof Problem)) throw error;
    if (error.isTransient) connection.hidden = false;
    else tell(error.message);
  });
}

async function act(name, options) {
  acting += 1;
  await attempt(name, () => load(options));
  acting -= 1;
}

for (const button of document.querySelectorAll(".filters button")) {
  button.addEventListener("click", () => act(`Filter "${button.textContent}"`, { wanted: button.dataset.status }));
}
more.addEventListener("click", () => act("Show more", { following: true }));
setInterval(() => { if (shown < 2 && !document.hidden && !acting) look(); }, REFRESH_MS);
look();

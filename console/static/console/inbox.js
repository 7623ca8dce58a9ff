// What waits for an answer, over all executions that one may see. A form that is there is left alone: somebody may be writing.

import { all } from "./api.js";
import { flag, make, moment, words } from "./dom.js";
import { questionForm } from "./questions.js";

const REFRESH_MS = 5000;
const place = document.getElementById("questions");
const fault = document.getElementById("error");

function entry(found) {
  const { execution_id: id, item } = found;
  return make("article", {},
    make("p", { class: "facts" },
      make("a", { href: `/executions/${id}/` }, words(found.workflow_id)), ` · ${found.scope_type} / ${found.scope_id} · `,
      item ? `${item.keys.join(" / ")} ${item.label} · ` : "", `since ${moment(found.clarification.asked_at)} `, flag(found) ?? ""),
    questionForm(id, found, load));
}

async function load() {
  const found = await all("/clarifications/");
  const wanted = new Map(found.map((each) => [`${each.execution_id} ${each.step_id} ${each.clarification.asked_at}`, each]));
  for (const known of [...place.children]) if (!wanted.delete(known.dataset.key)) known.remove();
  for (const [key, each] of wanted) {
    const made = entry(each);
    made.dataset.key = key;
    place.append(made);
  }
  document.getElementById("empty").hidden = found.length > 0;
  fault.hidden = true;
}

function look() {
  load().catch((error) => {
    fault.textContent = error.message;
    fault.hidden = false;
  });
}

setInterval(() => { if (!document.hidden) look(); }, REFRESH_MS);
look();

// The inbox of all visible executions: questions with forms, decisions and budgets as links.

import { Problem, all, logIn, reach } from "./api.js";
import { flag, make, moment, words } from "./dom.js";
import { tell } from "./faults.js";
import { showForms } from "./forms.js";
import { morph } from "./morph.js";
import { questionForm, questionName } from "./questions.js";
import { forget } from "./unsent.js";

const REFRESH_MS = 5000;
const at = (name) => document.getElementById(name);

function entry(found) {
  const { execution_id: id, item } = found;
  return make("article", {},
    make("p", { class: "facts" },
      make("a", { href: `/executions/${id}/` }, words(found.workflow_id)), ` · ${found.scope_type} / ${found.scope_id} · `,
      item ? `${item.keys.join(" / ")} ${item.label} · ` : "", `since ${moment(found.clarification.asked_at)} `, flag(found) ?? ""),
    questionForm(id, found, look));
}

async function loadQuestions() {
  const found = await all("/clarifications/");
  const wanted = new Map(found.map((each) => [questionName(each.execution_id, each), () => entry(each)]));
  showForms(at("questions"), wanted, { discard: forget });
}

// Decisions and budgets are rendered by the server.
async function loadOthers() {
  const response = await reach(location.pathname);
  if (response.redirected) return logIn();
  if (!response.ok) throw new Problem({ status: response.status, detail: `The server responded with ${response.status}.` });
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  morph(at("waiting"), ...fresh.getElementById("waiting").childNodes);
  at("waiting-count").textContent = fresh.getElementById("waiting-count").textContent;
}

async function look() {
  try {
    await Promise.all([loadQuestions(), loadOthers()]);
    at("empty").hidden = at("questions").children.length > 0 || at("waiting").querySelector("article") !== null;
    at("connection").hidden = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.isTransient) at("connection").hidden = false;
    else tell(error.message);
  }
}

setInterval(() => { if (!document.hidden) look(); }, REFRESH_MS);
look();

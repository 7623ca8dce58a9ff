// The form for a step's questions, with inputs by answer type.

import { post, Problem, upload } from "./api.js";
import { make, moment } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const MAX_TEXT = 20000; // characters, if the question has no limit
const FILE_TYPES = ".pdf,.docx,.xlsx,.csv,.md,.txt,.png,.jpg,.jpeg";
const uploads = new WeakMap(); // promises of uploaded files' ids: a file is uploaded once, also when the form is sent again
const AFTER_DEADLINE = { defaults: "then the default answers apply", fail: "then the step fails", wait: "later answers are accepted too" };

// Describes the bounds of an answer; empty without bounds.
function bounds(question) {
  const [minimum, maximum, unit] = {
    free_text: [question.min_length, question.max_length, " characters"],
    multi_choice: [question.min_choices, question.max_choices, " choices"],
    number: [question.minimum, question.maximum, ""],
    date: [question.earliest, question.latest, ""],
  }[question.answer_type] ?? [null, null, ""];
  const range = minimum === null ? `at most ${maximum}` : maximum === null ? `at least ${minimum}` : `${minimum} to ${maximum}`;
  return [question.integer ? "integers" : "", minimum === null && maximum === null ? "" : range + unit].filter(Boolean).join(", ");
}

function control(question) {
  const name = question.id;
  const preset = question.default;
  const option = (type, value, label, checked) =>
    make("label", { class: "option" }, make("input", { type, name, value, checked }), label);
  switch (question.answer_type) {
    case "single_choice":
      return question.choices.map((each) => option("radio", each.value, each.label, each.value === preset));
    case "multi_choice":
      return question.choices.map((each) => option("checkbox", each.value, each.label, (preset ?? []).includes(each.value)));
    case "yes_no":
      return [["true", "Yes"], ["false", "No"]].map(([value, label]) => option("radio", value, label, String(preset) === value));
    case "number":
      return make("input", { type: "number", step: question.integer ? 1 : "any", min: question.minimum, max: question.maximum,
        name, value: preset, "aria-label": question.text });
    case "date":
      return make("input", { type: "date", min: question.earliest, max: question.latest, name, value: preset,
        "aria-label": question.text });
    case "file":
      return make("input", { type: "file", name, accept: FILE_TYPES, "aria-label": question.text });
    default:
      return make("textarea", { name, rows: 2, minlength: question.min_length, maxlength: question.max_length ?? MAX_TEXT,
        "aria-label": question.text }, preset ?? "");
  }
}

// Uploads a chosen file, and returns its id; null without a file.
async function uploaded(form, question) {
  const [file] = form.elements.namedItem(question.id).files;
  if (!file) return null;
  if (!uploads.has(file)) uploads.set(file, upload(file));
  try {
    return (await uploads.get(file)).id;
  } catch (error) {
    uploads.delete(file);
    if (error instanceof Problem && error.errors.length) {
      error.errors = error.errors.map((each) => ({ ...each, pointer: pointerOf(question.id) }));
    }
    throw error;
  }
}

function answer(form, question) {
  const data = new FormData(form);
  const value = data.get(question.id);
  switch (question.answer_type) {
    case "file": return uploaded(form, question);
    case "multi_choice": return data.getAll(question.id);
    case "yes_no": return value === null ? null : value === "true";
    case "number": return value === "" ? null : Number(value);
    default: return value === "" ? null : value;
  }
}

const pointerOf = (id) => `/answers/${id.replaceAll("~", "~0").replaceAll("/", "~1")}`;
const questionId = (pointer) => pointer.replace(/^\/answers\//, "").replaceAll("~1", "/").replaceAll("~0", "~");

// Name of a form's saved input: one per round of questions.
export const questionName = (executionId, { step_id: step, clarification }) =>
  `questions/${executionId}/${step}/${clarification.round}/${clarification.asked_at}`;

export function questionForm(executionId, step, answered) {
  const { questions, round, expires_at: expires, on_deadline: then } = step.clarification;
  const fields = new Map(questions.map((question) => [question.id, make("fieldset", {},
    make("legend", {}, question.text, question.required ? "" : " (optional)"),
    question.why ? make("p", { class: "why" }, question.why) : null,
    control(question),
    bounds(question) ? make("p", { class: "hint" }, bounds(question)) : null,
    make("p", { class: "error", role: "alert", hidden: true }))]));
  const general = make("p", { class: "error", role: "alert", hidden: true });
  const send = make("button", { type: "submit", class: "primary" }, "Answer");
  const form = make("form", { class: "card questions", "data-step": step.step_id, "data-round": round, novalidate: true },
    make("h2", {}, `${step.name} asks`),
    expires ? make("p", { class: "hint" }, `Until ${moment(expires)}; ${AFTER_DEADLINE[then]}.`) : null, ...fields.values(), general, make("div", { class: "actions" }, send));
  const name = questionName(executionId, step);
  sends(form, {
    async act() {
      form.querySelectorAll(".error").forEach((each) => { each.hidden = true; });
      const given = await Promise.all(questions.map(async (each) => [each.id, await answer(form, each)]));
      const answers = Object.fromEntries(given.filter(([, value]) => value !== null));
      await post(`/executions/${executionId}/steps/${step.step_id}/clarification`, { answers });
      forget(name);
      answered();
    },
    refuse(error) {
      if (error.body?.status === 409) answered();
      const errors = (error.errors ?? []).filter((each) => fields.has(questionId(each.pointer)));
      show(general, errors.length ? "" : error.message);
      for (const each of errors) {
        const field = fields.get(questionId(each.pointer));
        show(field.querySelector(".error"), each.detail);
        field.querySelector("input, textarea").setAttribute("aria-invalid", "true");
      }
    },
  });
  keep(form, name);
  return form;
}

function show(element, message) {
  element.textContent = message;
  element.hidden = !message;
}

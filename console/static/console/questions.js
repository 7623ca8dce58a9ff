// A step's questions as a form, typed as the questions are.

import { post } from "./api.js";
import { make, moment } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const TEXT = 20000; // characters, where the question sets no bound
const THEN = { defaults: "then the defaults are taken", fail: "then the step fails", wait: "it is waited for longer, too" };

// What an answer is bounded by, in words; empty when by nothing.
function bounds(question) {
  const [least, most, unit] = {
    free_text: [question.min_length, question.max_length, " characters"],
    multi_choice: [question.min_choices, question.max_choices, " of these"],
    number: [question.minimum, question.maximum, ""],
    date: [question.earliest, question.latest, ""],
  }[question.answer_type] ?? [null, null, ""];
  const range = least === null ? `at most ${most}` : most === null ? `at least ${least}` : `${least} to ${most}`;
  return [question.integer ? "whole numbers" : "", least === null && most === null ? "" : range + unit].filter(Boolean).join(", ");
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
    default:
      return make("textarea", { name, rows: 2, minlength: question.min_length, maxlength: question.max_length ?? TEXT,
        "aria-label": question.text }, preset ?? "");
  }
}

function answer(form, question) {
  const data = new FormData(form);
  const value = data.get(question.id);
  switch (question.answer_type) {
    case "multi_choice": return data.getAll(question.id);
    case "yes_no": return value === null ? null : value === "true";
    case "number": return value === "" ? null : Number(value);
    default: return value === "" ? null : value;
  }
}

const place = (pointer) => pointer.replace(/^\/answers\//, "").replaceAll("~1", "/").replaceAll("~0", "~");

// A round of questions: what is written into its form belongs to it alone.
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
    expires ? make("p", { class: "hint" }, `Until ${moment(expires)}; ${THEN[then]}.`) : null, ...fields.values(), general, make("div", { class: "actions" }, send));
  const name = questionName(executionId, step);
  sends(form, {
    async act() {
      form.querySelectorAll(".error").forEach((each) => { each.hidden = true; });
      const answers = Object.fromEntries(questions.map((each) => [each.id, answer(form, each)]).filter(([, value]) => value !== null));
      await post(`/executions/${executionId}/steps/${step.step_id}/clarification`, { answers });
      forget(name);
      answered();
    },
    refuse(error) {
      if (error.body?.status === 409) answered();
      const faults = (error.errors ?? []).filter((each) => fields.has(place(each.pointer)));
      show(general, faults.length ? "" : error.message);
      for (const each of faults) {
        const field = fields.get(place(each.pointer));
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

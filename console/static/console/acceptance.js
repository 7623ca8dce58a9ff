// A document that waits for a person: what to look at, and what to do about it.

import { post } from "./api.js";
import { make, moment, words } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const SAID = { accept: "accepted", reject: "rejected", request_changes: "sent back" };

// A version that waits: what is written into its form belongs to it alone.
export const acceptanceName = (executionId, { step_id: step, document: made }) =>
  `acceptance/${executionId}/${step}/${made.version}`;

export function acceptanceForm(executionId, step, decided) {
  const { document: made, acceptance } = step;
  const comment = make("textarea", { name: "comment", rows: 3, "aria-label": "Comment" });
  const fault = make("p", { class: "error", role: "alert", hidden: true });
  const button = (decision, label, kind) => make("button", { type: "submit", class: kind, value: decision }, label);
  const buttons = [button("accept", "Accept", "primary"), button("request_changes", "Request changes", ""),
    button("reject", "Reject", "danger")];
  const form = make("form", { class: "card questions acceptance", "data-step": step.step_id, "data-version": made.version, novalidate: true },
    make("h2", {}, `${step.name}${step.item ? ` · ${step.item.label}` : ""} waits for a decision`),
    make("p", {}, make("a", { href: `#document-${made.id}` }, `${made.title} (${words(made.type)} v${made.version})`)),
    acceptance.instructions ? make("p", { class: "why" }, acceptance.instructions) : null,
    ...acceptance.decisions.map((each) => make("p", { class: "hint" },
      `Version ${each.document_version} ${SAID[each.decision]} by ${each.decided_by}, ${moment(each.decided_at)}`,
      each.comment ? `: ${each.comment}` : "")),
    make("fieldset", {}, make("legend", {}, "Comment (needed to request changes)"), comment, fault),
    make("div", { class: "actions" }, ...buttons));
  const name = acceptanceName(executionId, step);
  sends(form, {
    async act(submitter) {
      fault.hidden = true;
      const body = { decision: submitter?.value ?? "accept", document_version: made.version, comment: comment.value };
      await post(`/executions/${executionId}/steps/${step.step_id}/acceptance`, body);
      forget(name);
      decided();
    },
    refuse(error) {
      if ([409, 412].includes(error.body?.status)) decided();
      fault.textContent = (error.errors ?? []).map((each) => each.detail).join(" ") || error.message;
      fault.hidden = false;
      if (error.errors?.length) comment.setAttribute("aria-invalid", "true");
    },
  });
  keep(form, name);
  return form;
}

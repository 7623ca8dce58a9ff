// The form for a decision about a document that waits for acceptance.

import { post } from "./api.js";
import { make, moment, words } from "./dom.js";
import { sends } from "./forms.js";
import { forget, keep } from "./unsent.js";

const DECISIONS = { accept: "accepted", reject: "rejected", request_changes: "sent back" };

// Name of a form's saved input: one per document version.
export const acceptanceName = (executionId, { step_id: step, document: doc }) =>
  `acceptance/${executionId}/${step}/${doc.version}`;

export function acceptanceForm(executionId, step, decided) {
  const { document: doc, acceptance } = step;
  const comment = make("textarea", { name: "comment", rows: 3, "aria-label": "Comment" });
  const errorText = make("p", { class: "error", role: "alert", hidden: true });
  const button = (decision, label, kind) => make("button", { type: "submit", class: kind, value: decision }, label);
  const buttons = [button("accept", "Accept", "primary"), button("request_changes", "Request changes", ""),
    button("reject", "Reject", "danger")];
  const form = make("form", { class: "card questions acceptance", "data-step": step.step_id, "data-version": doc.version, novalidate: true },
    make("h2", {}, `${step.name}${step.item ? ` · ${step.item.label}` : ""} waits for a decision`),
    make("p", {}, make("a", { href: `#document-${doc.id}` }, `${doc.title} (${words(doc.type)} v${doc.version})`)),
    make("p", {}, make("a", { href: `/executions/${executionId}/steps/${encodeURIComponent(step.step_id)}/decision/` },
      "Read it beside its changes, comment on passages, or edit it")),
    acceptance.instructions ? make("p", { class: "why" }, acceptance.instructions) : null,
    ...acceptance.decisions.map((each) => make("p", { class: "hint" },
      `Version ${each.document_version} ${DECISIONS[each.decision]} by ${each.decided_by}, ${moment(each.decided_at)}`,
      each.comment ? `: ${each.comment}` : "")),
    make("fieldset", {}, make("legend", {}, "Comment (required to request changes)"), comment, errorText),
    make("div", { class: "actions" }, ...buttons));
  const name = acceptanceName(executionId, step);
  sends(form, {
    async act(submitter) {
      errorText.hidden = true;
      const body = { decision: submitter?.value ?? "accept", document_version: doc.version, comment: comment.value };
      await post(`/executions/${executionId}/steps/${step.step_id}/acceptance`, body);
      forget(name);
      decided();
    },
    refuse(error) {
      if ([409, 412].includes(error.body?.status)) decided();
      errorText.textContent = (error.errors ?? []).map((each) => each.detail).join(" ") || error.message;
      errorText.hidden = false;
      if (error.errors?.length) comment.setAttribute("aria-invalid", "true");
    },
  });
  keep(form, name);
  return form;
}

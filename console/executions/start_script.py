"""What shall go wrong in a dry run: one choice for each step of a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.dry_run import DryRunScript, StepScript
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

PREFIX = "rehearsal."
_ASK, _REVISE, _REFUSE = "ask", "needs_revision", "failed"
#: What can go wrong in a step, by the value of its choice.
OUTCOMES = {
    "": gettext_lazy("Nothing: it succeeds"),
    _ASK: gettext_lazy("It asks a question"),
    "invalid": gettext_lazy("Its output is invalid once, then right"),
    "always_invalid": gettext_lazy("Its output is never valid: the step fails"),
    _REVISE: gettext_lazy("Its review sends the document back once"),
    _REFUSE: gettext_lazy("Its review rejects the document"),
    "provider_unavailable": gettext_lazy("The provider is unavailable once"),
    "timed_out": gettext_lazy("The provider does not answer in time once"),
    "provider_rejected": gettext_lazy("The provider rejects the call: the step fails"),
    "context_too_long": gettext_lazy("The prompt is too long once, and is shortened"),
    "model_refused": gettext_lazy("The model refuses the task: the step fails"),
}
_MOST_INVALID = 10  # more outputs than any step tries
_SCRIPTS = {
    "invalid": StepScript(invalid=1),
    "always_invalid": StepScript(invalid=_MOST_INVALID),
    _REVISE: StepScript(verdicts=("needs_revision",)),
    _REFUSE: StepScript(verdicts=("failed",)),
    "provider_unavailable": StepScript(fail=("provider_unavailable",)),
    "timed_out": StepScript(fail=("timed_out",)),
    "provider_rejected": StepScript(fail=("provider_rejected",)),
    "context_too_long": StepScript(fail=("context_too_long",)),
    "model_refused": StepScript(fail=("model_refused",)),
}


class ScriptForm(forms.Form):
    """One choice for each step of a workflow. The names of the fields are places in the script of the API."""

    def __init__(self, definition: WorkflowDefinition | None, sent: Mapping[str, Any] | None = None) -> None:
        super().__init__(sent)
        for step in () if definition is None else definition.steps:
            self.fields[PREFIX + step.id] = forms.ChoiceField(
                label=step.name, required=False, choices=[*_choices(step)]
            )

    @property
    def is_set(self) -> bool:
        """Whether something shall go wrong."""
        return any(self[name].value() for name in self.fields)

    @property
    def script(self) -> DryRunScript:
        """What is simulated. The form is valid."""
        chosen = {name.removeprefix(PREFIX): value for name, value in self.cleaned_data.items() if value}
        return DryRunScript(steps={step_id: _script_of(value) for step_id, value in chosen.items()})


def _choices(step: StepDefinition) -> Iterator[tuple[str, Any]]:
    """Yield what can go wrong in a step: only some steps ask, and only some are reviewed."""
    for value, label in OUTCOMES.items():
        is_possible = {_ASK: step.clarification is not None}.get(value, True)
        if is_possible and (step.review is not None or value not in {_REVISE, _REFUSE}):
            yield value, label


def _script_of(value: str) -> StepScript:
    if value == _ASK:
        return StepScript(ask=(QuestionDraft(text=gettext("What should the document say about this?")),))
    return _SCRIPTS[value]

"""Filters of the list of executions, in its address; names are those of the API."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy

from common.names import normalize_name
from console.forms import DayField, text_filter
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from executions.selectors.lists import ExecutionQuery

STATUSES = {
    ExecutionStatus.PENDING: gettext_lazy("pending"),
    ExecutionStatus.RUNNING: gettext_lazy("running"),
    ExecutionStatus.WAITING: gettext_lazy("waiting"),
    ExecutionStatus.COMPLETED: gettext_lazy("completed"),
    ExecutionStatus.FAILED: gettext_lazy("failed"),
    ExecutionStatus.CANCELLED: gettext_lazy("cancelled"),
}
_WAITS = (
    ("", gettext_lazy("Anything")),
    (WaitingOn.CLARIFICATION.value, gettext_lazy("Answers")),
    (WaitingOn.ACCEPTANCE.value, gettext_lazy("A decision")),
    (WaitingOn.BUDGET.value, gettext_lazy("A higher budget")),
    (WaitingOn.RATE_LIMIT.value, gettext_lazy("A provider")),
)
_DRY_RUNS = (
    ("", gettext_lazy("Included")),
    ("false", gettext_lazy("Left out")),
    ("true", gettext_lazy("Dry runs alone")),
)
_ANY = ("", gettext_lazy("Any"))


class FilterForm(forms.Form):
    """Filters of the list; each is a filter of `executions.selectors.lists.ExecutionQuery`."""

    status = forms.ChoiceField(
        label=gettext_lazy("Status"),
        required=False,
        choices=[_ANY, *((each.value, name) for each, name in STATUSES.items())],
    )
    waiting_on = forms.ChoiceField(label=gettext_lazy("Waits for"), required=False, choices=_WAITS)
    workflow_id = text_filter(gettext_lazy("Workflow"), most=63, list="known-workflows")
    scope_type = text_filter(gettext_lazy("Scope type"), most=63)
    scope_id = text_filter(gettext_lazy("Scope key"), most=200)
    tag = text_filter(gettext_lazy("Tag"), most=200)
    created_after = DayField(label=gettext_lazy("Started from"))
    created_before = DayField(label=gettext_lazy("Started until"), is_end=True)
    dry_run = forms.ChoiceField(label=gettext_lazy("Dry runs"), required=False, choices=_DRY_RUNS)

    @property
    def given(self) -> dict[str, str]:
        """The filters that have a value, as the address has them."""
        return {name: str(self.data[name]) for name in self.fields if self.data.get(name)}

    @property
    def query(self) -> str:
        """The query of the address with these filters."""
        return urlencode(self.given)

    def wanted(self) -> ExecutionQuery:
        """Return what the selector takes. The form is valid."""
        given: dict[str, str | datetime] = {name: value for name, value in self.cleaned_data.items() if value}
        for name in ("scope_id", "tag"):
            if name in given:
                given[name] = normalize_name(str(given[name]))
        status, dry_run = given.pop("status", None), given.pop("dry_run", None)
        return ExecutionQuery(
            status=[] if status is None else [str(status)],
            dry_run=None if dry_run is None else dry_run == "true",
            **given,  # type: ignore[arg-type]  # of the fields above
        )

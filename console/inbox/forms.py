"""Forms of the inbox: its filters, limits of a budget, and an assignment."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from common.names import normalize_name
from console.forms import AmountField, CountField, SecondsField, plain_number
from executions.engine.domain.states import InboxKind
from workflows.definitions.budget import MAX_INTEGER
from workflows.definitions.policies import MAX_ASSIGNEES

#: Kinds of entries, and their names for people: one, several.
KINDS = {
    InboxKind.QUESTION: (gettext_lazy("Question"), gettext_lazy("Questions")),
    InboxKind.ACCEPTANCE: (gettext_lazy("Decision"), gettext_lazy("Decisions")),
    InboxKind.BUDGET: (gettext_lazy("Budget"), gettext_lazy("Budgets")),
    InboxKind.FAILURE: (gettext_lazy("Failure"), gettext_lazy("Failures")),
}
_DRY_RUNS = (("", gettext_lazy("Left out")), ("true", gettext_lazy("Only dry runs")))
_LOCAL_FORMAT = "%Y-%m-%dT%H:%M"


class FilterForm(forms.Form):
    """Filters of the inbox; each is a filter of `executions.selectors.inbox.entries`."""

    kind = forms.ChoiceField(
        required=False, choices=[("", ""), *((each.value, each.value) for each in KINDS)], widget=forms.HiddenInput
    )
    scope_type = forms.CharField(label=gettext_lazy("Scope type"), required=False, max_length=63)
    scope_id = forms.CharField(label=gettext_lazy("Scope key"), required=False, max_length=200)
    workflow_id = forms.CharField(label=gettext_lazy("Workflow"), required=False, max_length=63)
    dry_run = forms.ChoiceField(label=gettext_lazy("Dry runs"), required=False, choices=_DRY_RUNS)
    assigned_to = forms.BooleanField(label=gettext_lazy("Assigned to me"), required=False, widget=forms.CheckboxInput())
    overdue = forms.BooleanField(label=gettext_lazy("Overdue"), required=False)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["assigned_to"].widget.attrs["value"] = "me"
        self.fields["overdue"].widget.attrs["value"] = "true"

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> FilterForm:
        """Return the filters of an address. Invalid ones are left out."""
        form = cls(sent)
        form.full_clean()
        return form

    @property
    def given(self) -> dict[str, str]:
        """The valid filters that have a value, as an address has them."""
        found = {name: value for name, value in self.cleaned_data.items() if value not in {None, "", False}}
        if "assigned_to" in found:
            found["assigned_to"] = "me"
        if "overdue" in found:
            found["overdue"] = "true"
        return found

    @property
    def query(self) -> str:
        """The query of an address with these filters."""
        return urlencode(self.given)

    def filters(self) -> dict[str, Any]:
        """Return the filters that the selector takes. Without a choice there are no dry runs."""
        given: dict[str, Any] = {**self.given}
        if "kind" in given:
            given["kind"] = [given["kind"]]
        if "overdue" in given:
            given["overdue"] = True
        if "scope_id" in given:
            given["scope_id"] = normalize_name(given["scope_id"])
        given["dry_run"] = given.get("dry_run") == "true"
        return given

    def query_with(self, **changes: str) -> str:
        """Return the query with other filters; an empty value removes one."""
        wanted = {**self.given, **changes}
        return urlencode({name: value for name, value in wanted.items() if value})


class BudgetForm(forms.Form):
    """The limits of an execution that are set. A field without a number is refused: the limit would be removed."""

    max_cost_usd = AmountField(label=gettext_lazy("US dollars"), min_value=Decimal(0), max_digits=20, decimal_places=10)
    max_tokens = CountField(label=gettext_lazy("Tokens"), min_value=0, max_value=MAX_INTEGER)
    max_calls = CountField(label=gettext_lazy("Calls"), min_value=0, max_value=MAX_INTEGER)
    max_seconds = SecondsField(label=gettext_lazy("Seconds of work"), min_value=0, max_value=MAX_INTEGER)

    def __init__(self, sent: QueryDict | None = None, *, limits: Mapping[str, Any]) -> None:
        initial = {name: plain_number(value) for name, value in limits.items() if value is not None}
        super().__init__(sent, initial=initial)
        for name in [*self.fields]:
            if name not in initial:
                del self.fields[name]
            else:
                self.fields[name].widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})


class AssignForm(forms.Form):
    """Who acts on a step, and until when."""

    assignees = forms.CharField(
        label=gettext_lazy("Assignees (user names, separated by commas; empty: all reviewers)"),
        required=False,
        max_length=20_000,
    )
    due_at = forms.DateTimeField(
        label=gettext_lazy("Due date (optional)"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_LOCAL_FORMAT),
    )

    def clean_assignees(self) -> list[str]:
        """Return the names, each once.

        Raises:
            ValidationError: these are too many.
        """
        names = [each.strip() for each in self.cleaned_data["assignees"].split(",")]
        found = list(dict.fromkeys(filter(None, names)))
        if len(found) > MAX_ASSIGNEES:
            raise forms.ValidationError(gettext("At most %(most)s users can be named.") % {"most": MAX_ASSIGNEES})
        return found

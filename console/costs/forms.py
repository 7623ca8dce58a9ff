"""The filters of the page of costs, in its address; names are those of the API."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext, gettext_lazy

from console.costs.groups import GROUPS
from console.costs.period import MAX_DAYS, Period, first_of_month, last_of_month
from console.forms import day_input, text_filter

_DRY_RUNS = (
    ("exclude", gettext_lazy("Left out")),
    ("include", gettext_lazy("Included")),
    ("only", gettext_lazy("Dry runs alone")),
)
DRY_RUN = {"exclude": False, "include": None, "only": True}


def _within_years(day: date) -> date:
    """Return the day.

    Raises:
        ValueError: it is in the first or in the last year that there is, and so has no year before or after it.
    """
    if not date.min.year < day.year < date.max.year:
        raise ValueError("no year before or after it")
    return day


class CostsForm(forms.Form):
    """Period, groups and filters. Without a period, the running month is meant."""

    cross = forms.ChoiceField(
        label=gettext_lazy("Split by"),
        required=False,
        choices=[(f"day,{name}", group.title) for name, group in GROUPS.items()],
    )
    workflow_id = text_filter(gettext_lazy("Workflow"), most=63)
    scope_type = text_filter(gettext_lazy("Scope type"), most=63)
    scope_id = text_filter(gettext_lazy("Scope key"), most=200)
    user = text_filter(gettext_lazy("Person"), most=150)
    model = text_filter(gettext_lazy("Model"), most=320, placeholder="provider:name")
    tag = text_filter(gettext_lazy("Tag"), most=200)
    dry_run = forms.ChoiceField(label=gettext_lazy("Dry runs"), required=False, choices=_DRY_RUNS)
    month = forms.RegexField(r"^\d{4}-\d{2}$", required=False)

    def __init__(self, *arguments: Any, today: date, zone: ZoneInfo, **options: Any) -> None:
        """Add the fields whose names are words of Python, or come in pairs."""
        super().__init__(*arguments, **options)
        self.today, self.zone = today, zone
        self.fields["from"] = forms.DateField(label=gettext("From"), required=False, widget=day_input())
        self.fields["to"] = forms.DateField(label=gettext("Until"), required=False, widget=day_input())
        self.order_fields(["from", "to"])
        self.period = self._whole_month(today)

    def _whole_month(self, day: date) -> Period:
        return Period(first_of_month(day), last_of_month(day), self.zone)

    def clean_month(self) -> date | None:
        """Return the first day of the month; None: there is none.

        Raises:
            ValidationError: there is no such month, or no whole month after it.
        """
        text = self.cleaned_data["month"]
        if not text:
            return None
        try:
            return _within_years(date.fromisoformat(f"{text}-01"))
        except ValueError as error:
            raise forms.ValidationError(gettext("There is no such month.")) from error

    def clean_model(self) -> str:
        """Return provider and model.

        Raises:
            ValidationError: there is no colon between them.
        """
        text = str(self.cleaned_data["model"])
        if text and ":" not in text:
            raise forms.ValidationError(gettext("Enter provider and model, such as openai:gpt-5-mini."))
        return text

    def clean_from(self) -> date | None:
        """Return the first day."""
        return self._day("from")

    def clean_to(self) -> date | None:
        """Return the last day."""
        return self._day("to")

    def _day(self, name: str) -> date | None:
        """Return a day.

        Raises:
            ValidationError: it has no day before or after it.
        """
        day: date | None = self.cleaned_data[name]
        try:
            return None if day is None else _within_years(day)
        except ValueError as error:
            raise forms.ValidationError(gettext("Enter a valid date.")) from error

    def clean(self) -> dict[str, Any]:
        """Return the values.

        Raises:
            ValidationError: the period ends before it begins, or is too long.
        """
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            self._find_period(values)
        return values

    def _find_period(self, values: dict[str, Any]) -> None:
        """Store the period. One end alone: from it to today, or from the begin of its month to it."""
        first, last = values["from"], values["to"]
        if first is None and last is None:
            self.period = self._whole_month(values["month"] or self.today)
            return
        period = Period(first or first_of_month(last), last or max(self.today, first), self.zone)
        if period.last < period.first:
            self.add_error("to", gettext("The period ends before it begins."))
        elif (period.last - period.first).days >= MAX_DAYS:
            self.add_error("to", gettext("Five years are the most that a page shows."))
        else:
            self.period = period

    @property
    def shows_running_month(self) -> bool:
        """Whether the period is the month of today."""
        return self.period.is_month and self.period.first == first_of_month(self.today)

    def show_period(self) -> None:
        """Have the fields show the period, also if the address names a month, or nothing."""
        if self.is_valid():
            ends = {"from": self.period.first, "to": self.period.last}
            self.data = {**{name: self.data.get(name) for name in self.data}, **ends}

    @property
    def group(self) -> str:
        """The group that days are crossed with."""
        return str(self.cleaned_data["cross"] or "day,model").partition(",")[2]

    @property
    def filters(self) -> dict[str, str]:
        """The filters that narrow the calls, by the names of the address and of the API."""
        names = ("workflow_id", "scope_type", "scope_id", "user", "model", "tag")
        given = {name: str(self.cleaned_data[name]) for name in names if self.cleaned_data[name]}
        dry_run = self.cleaned_data["dry_run"]
        return {**given, "dry_run": dry_run} if dry_run not in {"", "exclude"} else given

    def shown(self, name: str) -> str:
        """Return the value of a filter as people read it."""
        value = self.filters[name]
        return str(dict(_DRY_RUNS)[value]) if name == "dry_run" else value

    @property
    def narrowing(self) -> list[forms.BoundField]:
        """The fields that a reader fills in."""
        return [self[name] for name in self.fields if name != "month"]

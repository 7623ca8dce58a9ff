"""Forms of pages. Each one has a twin in the API: its fields are parameters or members of that operation."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

STALE = (("", "Any"), ("true", "Stale"), ("false", "Not stale"))


class DayField(forms.DateField):
    """A day in the reader's time zone, as the moment at which it begins, or at which it has ended."""

    def __init__(self, *, label: str, is_end: bool = False) -> None:
        super().__init__(label=label, required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
        self.is_end = is_end

    def clean(self, value: Any) -> datetime | None:
        """Return the moment; None without a value.

        Raises:
            ValidationError: this is no day.
        """
        day = super().clean(value)
        if day is None:
            return None
        try:
            return timezone.make_aware(datetime.combine(day + timedelta(days=self.is_end), time()))
        except OverflowError as error:
            raise forms.ValidationError(self.error_messages["invalid"]) from error


class DocumentFilterForm(forms.Form):
    """Filters of the library; each field but `q` is a filter of `documents.search.lists.DocumentQuery`."""

    q = forms.CharField(label="Search", required=False, max_length=500)
    type = forms.CharField(label="Type", required=False, max_length=63)
    scope_type = forms.CharField(label="Scope type", required=False, max_length=63)
    scope_id = forms.CharField(label="Scope key", required=False, max_length=200)
    workflow_id = forms.CharField(label="Workflow", required=False, max_length=63)
    author = forms.CharField(label="Written by (user)", required=False, max_length=150)
    updated_after = DayField(label="Changed from")
    updated_before = DayField(label="Changed until", is_end=True)
    stale = forms.TypedChoiceField(
        label="Stale", required=False, choices=STALE, coerce=lambda value: value == "true", empty_value=None
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Name the list of suggestions of each text field."""
        super().__init__(*arguments, **options)
        for name, field in self.fields.items():
            if type(field) is forms.CharField and name != "q":
                field.widget.attrs |= {"list": f"known-{name}", "autocomplete": "off"}

    @property
    def given(self) -> dict[str, Any]:
        """The valid filters that have a value."""
        return {name: value for name, value in getattr(self, "cleaned_data", {}).items() if value not in {None, ""}}

    @property
    def narrowing(self) -> list[forms.BoundField]:
        """The fields beside the search text."""
        return [self[name] for name in self.fields if name != "q"]

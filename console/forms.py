"""Forms of pages. Each one has a twin in the API: its fields are parameters or members of that operation."""

from __future__ import annotations

from typing import Any

from django import forms


class DocumentFilterForm(forms.Form):
    """Filters of the library; each field is a keyword of `documents.selectors.documents`."""

    q = forms.CharField(label="Search", required=False, max_length=500)
    type = forms.CharField(label="Type", required=False, max_length=63)
    scope_type = forms.CharField(label="Scope type", required=False, max_length=63)
    scope_id = forms.CharField(label="Scope key", required=False, max_length=200)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Describe faults to screen readers, and name the lists of suggestions."""
        super().__init__(*arguments, **options)
        for name, field in self.fields.items():
            if name != "q":
                field.widget.attrs["list"] = f"known-{name}"

    @property
    def given(self) -> dict[str, Any]:
        """The valid filters that have a value."""
        return {name: value for name, value in getattr(self, "cleaned_data", {}).items() if value not in {None, ""}}

    @property
    def narrowing(self) -> list[forms.BoundField]:
        """The fields beside the search text."""
        return [self[name] for name in self.fields if name != "q"]

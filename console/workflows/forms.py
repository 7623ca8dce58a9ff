"""Forms of the pages of workflows. Each one has a twin in the API."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from console.forms import SLUG, SLUG_ONLY, clean_key


class WorkflowFilterForm(forms.Form):
    """Filter of the list of workflows."""

    retired = forms.BooleanField(label=gettext_lazy("Show retired workflows, too"), required=False)


class VersionForm(forms.Form):
    """A published version that becomes the current one."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class DefinitionForm(forms.Form):
    """A definition as text, and what a try of it needs."""

    definition = forms.CharField(
        label=gettext_lazy("Definition (YAML or JSON)"), strip=False, required=False, widget=forms.Textarea
    )
    input = forms.CharField(
        label=gettext_lazy("Brief"), required=False, max_length=100_000, widget=forms.Textarea(attrs={"rows": 4})
    )
    scope_type = forms.RegexField(
        SLUG,
        label=gettext_lazy("Scope type"),
        max_length=63,
        error_messages=SLUG_ONLY,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scope_id = forms.CharField(
        label=gettext_lazy("Scope key"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def clean_scope_id(self) -> str:
        """Return the normalized key.

        Raises:
            ValidationError: see `clean_key`.
        """
        return clean_key(self.cleaned_data["scope_id"])

    @property
    def of_a_try(self) -> list[forms.BoundField]:
        """The fields that only a try needs."""
        return [self[name] for name in ("input", "scope_type", "scope_id")]

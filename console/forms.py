"""Forms of pages. Each one has a twin in the API: its fields are parameters or members of that operation."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.translation import gettext, gettext_lazy

from common.names import DOTS, HIDDEN_CHARACTER, has_dots, has_hidden_characters, normalize_name

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
POINTER = r"^(/([^~/]|~[01])*)*$"
SLUG_ONLY = {"invalid": gettext_lazy("Use lower case letters, digits and hyphens.")}
STALE = (("", gettext_lazy("Any")), ("true", gettext_lazy("Stale")), ("false", gettext_lazy("Not stale")))


class _Written:
    """A number as people write it. The decimal separator is a point, or that of the language."""

    def to_python(self, value: Any) -> Any:
        """Return the number.

        Raises:
            ValidationError: it is no number, or has separators of thousands, so that it could be another one.
        """
        if isinstance(value, str):
            value = value.strip()
            if _has_thousands(value):
                raise forms.ValidationError(gettext("Write the number without separators of thousands."))
            if get_format("DECIMAL_SEPARATOR") == "," and "." not in value:
                value = value.replace(",", ".")
        return super().to_python(value)  # type: ignore[misc]  # of a field


class AmountField(_Written, forms.DecimalField):
    """An amount of money."""


class SecondsField(_Written, forms.FloatField):
    """A number of seconds."""


class CountField(forms.IntegerField):
    """A whole number in digits alone. Django's own field reads `10.000` as 10."""

    def to_python(self, value: Any) -> int | None:
        """Return the number.

        Raises:
            ValidationError: it is no whole number, or has separators.
        """
        if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d*\s*", value):
            raise forms.ValidationError(gettext("Enter a whole number, in digits alone."))
        found: int | None = super().to_python(value)
        return found


def _has_thousands(text: str) -> bool:
    """Whether a number can be one with separators of thousands in the language of the page."""
    separator = "." if get_format("DECIMAL_SEPARATOR") == "," else ","
    whole, *groups = text.split(separator)
    return bool(groups) and whole.strip("+-0") != "" and all(re.match(r"\d{3}(?!\d)", each) for each in groups)


def visible(text: str) -> str:
    """Return a text of a form that has no invisible characters.

    Raises:
        ValidationError: it has some.
    """
    if has_hidden_characters(text):
        raise forms.ValidationError(gettext(HIDDEN_CHARACTER))
    return text


def clean_key(text: str) -> str:
    """Return the normalized key of a scope.

    Raises:
        ValidationError: it has invisible characters, or a part `.` or `..` between slashes.
    """
    key = visible(normalize_name(text))
    if has_dots(key):
        raise forms.ValidationError(gettext(DOTS))
    return key


def plain_number(value: Any) -> str:
    """Return a number without an exponent, and without zeros at its end."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def text_filter(label: Any, *, most: int, **attributes: str) -> forms.CharField:
    """Return the field of a filter: a text of up to `most` characters, or nothing."""
    widget = forms.TextInput(attrs={"autocomplete": "off", **attributes})
    return forms.CharField(label=label, required=False, max_length=most, widget=widget)


def day_input() -> forms.DateInput:
    """Return the input of a day."""
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class DayField(forms.DateField):
    """A day in the reader's time zone, as the moment at which it begins, or at which it has ended."""

    def __init__(self, *, label: Any, is_end: bool = False) -> None:
        super().__init__(label=label, required=False, widget=day_input())
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


class NamedForm(forms.Form):
    """A form on a page with other forms: its fields have ids of their own."""

    ids = "id_%s"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.auto_id = self.ids


class DocumentFilterForm(forms.Form):
    """Filters of the library; each field but `q` is a filter of `documents.search.lists.DocumentQuery`."""

    q = forms.CharField(label=gettext_lazy("Search"), required=False, max_length=500)
    type = forms.CharField(label=gettext_lazy("Type"), required=False, max_length=63)
    scope_type = forms.CharField(label=gettext_lazy("Scope type"), required=False, max_length=63)
    scope_id = forms.CharField(label=gettext_lazy("Scope key"), required=False, max_length=200)
    workflow_id = forms.CharField(label=gettext_lazy("Workflow"), required=False, max_length=63)
    author = forms.CharField(label=gettext_lazy("Written by (user)"), required=False, max_length=150)
    updated_after = DayField(label=gettext_lazy("Changed from"))
    updated_before = DayField(label=gettext_lazy("Changed until"), is_end=True)
    stale = forms.TypedChoiceField(
        label=gettext_lazy("Stale"),
        required=False,
        choices=STALE,
        coerce=lambda value: value == "true",
        empty_value=None,
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


class NoteForm(forms.Form):
    """What an edit has beside the content. A content with a title of its own needs no title here."""

    title = forms.CharField(label=gettext_lazy("Title"), required=False, max_length=500)
    note = forms.CharField(label=gettext_lazy("Why you changed it (optional)"), required=False, max_length=2_000)

    def __init__(self, *arguments: Any, has_title: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not has_title:
            del self.fields["title"]

    @property
    def given(self) -> dict[str, Any]:
        """The valid values; no title if the field is empty."""
        return {name: value for name, value in self.cleaned_data.items() if name != "title" or value}


class NewDocumentForm(NoteForm):
    """A new document of a scope."""

    scope_type = forms.RegexField(
        SLUG,
        label=gettext_lazy("Scope type"),
        max_length=63,
        error_messages=SLUG_ONLY,
    )
    scope_id = forms.CharField(label=gettext_lazy("Scope key"), max_length=200)
    type = forms.RegexField(SLUG, label=gettext_lazy("Type"), max_length=63, error_messages=SLUG_ONLY)
    field_order = ("scope_type", "scope_id", "type", "title", "note")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Name the lists of suggestions."""
        super().__init__(*arguments, **options)
        self.fields["note"].label = gettext_lazy("Note (optional)")
        for name in ("scope_type", "scope_id", "type"):
            self.fields[name].widget.attrs |= {"list": f"known-{name}", "autocomplete": "off"}

    def clean_scope_id(self) -> str:
        """Return the normalized key.

        Raises:
            ValidationError: see `clean_key`.
        """
        return clean_key(self.cleaned_data["scope_id"])


class RestoreForm(forms.Form):
    """An earlier version that becomes the newest one."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class PassageForm(forms.Form):
    """A remark about a passage."""

    pointer = forms.RegexField(POINTER, required=False, max_length=1_000, strip=False, widget=forms.HiddenInput)
    quote = forms.CharField(required=False, max_length=10_000, strip=False, widget=forms.HiddenInput)
    text = forms.CharField(label=gettext_lazy("Comment"), max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}))

    def add_prefix(self, field_name: str) -> str:
        """Return the name of a field as the place in the request that the API has: `comments.0.text`."""
        return f"{self.prefix}.{field_name}" if self.prefix else field_name


class CommentForm(PassageForm):
    """A remark about a passage of a version."""

    start = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    document_version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class DecisionForm(forms.Form):
    """A decision about a waiting document."""

    decision = forms.ChoiceField(choices=[("accept", ""), ("request_changes", ""), ("reject", "")])
    document_version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    head_version = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    comment = forms.CharField(
        label=gettext_lazy("Comment"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 4})
    )
    only_commented = forms.BooleanField(
        label=gettext_lazy("Only these passages: everything else has to stay as it is, to the letter"), required=False
    )

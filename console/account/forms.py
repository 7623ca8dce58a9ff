"""Forms about a user's own account. Each one has a twin in the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from access.permissions import Right
from common.names import normalize_name
from common.time import time_zones
from console.forms import DayField, NamedForm, visible

#: What a token may do with each right.
RIGHTS = (
    (Right.READ.value, gettext_lazy("Read: executions, documents, costs and streams")),
    (Right.ANSWER.value, gettext_lazy("Answer: questions, decisions, comments, edits and files")),
    (Right.OPERATE.value, gettext_lazy("Operate: start, cancel and retry executions")),
    (Right.AUTHOR.value, gettext_lazy("Author: publish, retire and try workflows")),
    (Right.MANAGE.value, gettext_lazy("Manage: roles, invitations and budgets of scopes")),
)
_SEPARATOR = "/"  # no type of a scope has one


def value_of_scope(scope: Any) -> str:
    """Return the value with which a form names a root scope."""
    return f"{scope.type}{_SEPARATOR}{scope.key}"


class ProfileForm(NamedForm):
    """Name, language and time zone."""

    ids = "profile_%s"

    name = forms.CharField(
        label=gettext_lazy("Name"), required=False, max_length=150, widget=forms.TextInput({"autocomplete": "name"})
    )
    language = forms.CharField(
        label=gettext_lazy("Language"),
        max_length=35,
        help_text=gettext_lazy("A language tag, such as en or pt-BR."),
        widget=forms.TextInput({"list": "known-languages", "autocomplete": "off"}),
    )
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=64,
        help_text=gettext_lazy("Such as Europe/Berlin. Pages show times in it."),
        widget=forms.TextInput({"list": "known-zones", "autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        """Return the name in its normal form.

        Raises:
            ValidationError: it has invisible characters.
        """
        return _name(self.cleaned_data["name"])


class PasswordForm(NamedForm):
    """The old password, and the new one twice."""

    ids = "password_%s"

    old_password = forms.CharField(
        label=gettext_lazy("Present password"),
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )
    new_password = forms.CharField(
        label=gettext_lazy("New password"),
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    new_password_again = forms.CharField(
        label=gettext_lazy("New password again"),
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean_new_password_again(self) -> str:
        """Return the second one.

        Raises:
            ValidationError: the two differ.
        """
        again = str(self.cleaned_data["new_password_again"])
        if "new_password" in self.cleaned_data and again != self.cleaned_data["new_password"]:
            raise forms.ValidationError(gettext("The two passwords differ."))
        return again


class TokenForm(NamedForm):
    """The name and the limits of a new token."""

    ids = "token_%s"

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=100, help_text=gettext_lazy("Such as the program that uses the token.")
    )
    rights = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Rights"),
        choices=RIGHTS,
        coerce=Right,
        initial=[Right.READ.value],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("A token needs at least one right.")},
        help_text=gettext_lazy("No right includes another one. A token never may more than you."),
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("Scope"),
        required=False,
        help_text=gettext_lazy("A token for one scope reaches nothing else, and cannot author workflows."),
    )
    expires_at = DayField(label=gettext_lazy("Valid until"), is_end=True)

    def __init__(self, *arguments: Any, scopes: list[Any], lifetime: timedelta, **options: Any) -> None:
        """Offer the scopes of the user, and the days on which a token may expire."""
        super().__init__(*arguments, **options)
        named = [(value_of_scope(each), f"{each.type} {each.key}") for each in scopes]
        self.fields["scope"].choices = [("", gettext("All of my scopes")), *named]  # type: ignore[attr-defined]
        today = timezone.localdate()
        last = today + lifetime - timedelta(days=1)
        days = self.fields["expires_at"]
        days.widget.attrs |= {"min": today.isoformat(), "max": last.isoformat()}
        days.help_text = gettext("That day included. Empty: %(days)s days from now, which is the longest.") % {
            "days": lifetime.days
        }

    def clean_name(self) -> str:
        """Return the name in its normal form.

        Raises:
            ValidationError: it has invisible characters.
        """
        return _name(self.cleaned_data["name"])

    @property
    def given(self) -> dict[str, Any]:
        """The values, as the service names them."""
        values = {name: self.cleaned_data[name] for name in ("name", "rights")}
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        scope = self.cleaned_data["scope"]
        kind, _, key = scope.partition(_SEPARATOR)
        place = {"scope_type": kind, "scope_id": key} if scope else {}
        return {**values, "expires_at": expires_at, **place}


def _name(text: str) -> str:
    return visible(normalize_name(text))


def zones() -> list[str]:
    """Return the names of time zones that a person may look for."""
    return sorted(each for each in time_zones() if "/" in each or each == "UTC")

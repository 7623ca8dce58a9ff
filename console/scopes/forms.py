"""Forms about scopes. Each one has a twin in the API."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from access.audit.acts import Act
from access.permissions import Role
from common.names import in_words
from console.forms import AmountField, DayField, NamedForm, visible
from console.language.names import name_of
from console.scopes.words import ACTS

_ROLE_HINT = gettext_lazy(
    "Viewers read. Reviewers also answer, decide and edit documents. Operators also start and cancel executions. "
    "Owners also give roles, invite people and set the budget."
)


def role_choices() -> list[tuple[str, str]]:
    """Return the roles with their names."""
    return [(role.value, in_words(name_of(role))) for role in Role]


def _role() -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=gettext_lazy("Role"), choices=role_choices, coerce=Role, initial=Role.REVIEWER.value, help_text=_ROLE_HINT
    )


class ScopeSearchForm(forms.Form):
    """The search of the list of scopes."""

    q = forms.CharField(label=gettext_lazy("Search scopes"), required=False, max_length=200)

    def clean_q(self) -> str:
        """Return the text.

        Raises:
            ValidationError: it has invisible characters.
        """
        return visible(str(self.cleaned_data["q"]))


class PlaceForm(NamedForm):
    """The root scope that a form is about."""

    scope_type = forms.CharField(max_length=63, widget=forms.HiddenInput)
    scope_id = forms.CharField(max_length=200, strip=False, widget=forms.HiddenInput)

    @property
    def place(self) -> dict[str, Any]:
        """The scope, as services name it."""
        return {"scope_type": self.cleaned_data["scope_type"], "scope_key": self.cleaned_data["scope_id"]}


class MemberForm(PlaceForm):
    """A user of a scope."""

    username = forms.CharField(label=gettext_lazy("User name"), max_length=150)


class RoleForm(MemberForm):
    """A role for a user."""

    ids = "given_%s"

    role = _role()


class InvitationForm(PlaceForm):
    """An offer of a role to a person."""

    ids = "invitation_%s"

    role = _role()
    email = forms.EmailField(
        label=gettext_lazy("E-mail address (optional)"),
        required=False,
        help_text=gettext_lazy(
            "If you enter one, only a user with this verified address can accept. The server sends no mail."
        ),
    )


class BudgetForm(PlaceForm):
    """The budget of a scope for each calendar month."""

    max_cost_usd = AmountField(
        label=gettext_lazy("Budget of each month in US dollars"),
        required=False,
        min_value=0,
        max_digits=20,
        decimal_places=10,
        help_text=gettext_lazy(
            "The next model call waits for people when it might exceed the budget. Empty: no budget."
        ),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )


class AuditFilterForm(forms.Form):
    """Filters of the audit log; names are those of the API."""

    user = forms.CharField(label=gettext_lazy("User name"), required=False, max_length=150)
    act = forms.ChoiceField(
        label=gettext_lazy("Act"),
        required=False,
        choices=[("", gettext_lazy("Any")), *((act.value, ACTS[act]) for act in Act)],
    )
    subject = forms.CharField(label=gettext_lazy("Id of what it is about"), required=False, max_length=200)
    scope_type = forms.CharField(label=gettext_lazy("Scope type"), required=False, max_length=63)
    scope_id = forms.CharField(label=gettext_lazy("Scope key"), required=False, max_length=200)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Add the fields whose names are words of Python, or come in pairs."""
        super().__init__(*arguments, **options)
        self.fields["from"] = DayField(label=gettext("From"))
        self.fields["to"] = DayField(label=gettext("Until"), is_end=True)

    def clean(self) -> dict[str, Any]:
        """Return the values.

        Raises:
            ValidationError: one of the two parts of a scope is missing, or a text has characters that no name has.
        """
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name, other in (("scope_type", "scope_id"), ("scope_id", "scope_type")):
            if values.get(other) and not values.get(name) and name not in self.errors:
                self.add_error(name, gettext("A scope has a type and a key: fill in both."))
        return values

    @property
    def given(self) -> dict[str, Any]:
        """The valid filters that have a value."""
        return {name: value for name, value in getattr(self, "cleaned_data", {}).items() if value not in {None, ""}}

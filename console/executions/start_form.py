"""The form that starts an execution. Its fields are members of `POST /api/v1/executions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from common.errors import DomainError, FieldError
from common.json_pointer import pointer
from common.limits import limits
from common.names import has_dots, normalize_name
from console.executions.start_script import PREFIX, ScriptForm
from console.forms import SLUG, SLUG_ONLY, AmountField, CountField, SecondsField, clean_key, plain_number, visible
from executions.engine.domain.brief import FILES
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Brief
from workflows.definitions.budget import MAX_INTEGER
from workflows.definitions.definition import WorkflowDefinition

FILE_IDS = f"input.{FILES}"
BUDGET = "budget."
_MAX_BRIEF = 200_000  # characters, as in the API
_MAX_TAG = 63
_TEXT = {"autocomplete": "off"}
#: Fields of the limits, by the name of the limit.
_LIMITS: dict[str, forms.Field] = {
    "max_cost_usd": AmountField(
        label=gettext_lazy("US dollars"), required=False, min_value=Decimal(0), max_digits=20, decimal_places=10
    ),
    "max_calls": CountField(label=gettext_lazy("Calls of models"), required=False, min_value=0, max_value=MAX_INTEGER),
    "max_tokens": CountField(label=gettext_lazy("Tokens"), required=False, min_value=0, max_value=MAX_INTEGER),
    "max_seconds": SecondsField(
        label=gettext_lazy("Seconds of work"), required=False, min_value=0, max_value=MAX_INTEGER
    ),
}


class StartForm(forms.Form):
    """What an execution starts with, apart from its files and the script of a dry run."""

    workflow_id = forms.ChoiceField(
        label=gettext_lazy("Workflow"),
        error_messages={
            "required": gettext_lazy("Choose a workflow."),
            "invalid_choice": gettext_lazy("This workflow is not offered any more. Choose another one."),
        },
    )
    scope = forms.ChoiceField(label=gettext_lazy("Scope"), required=False)
    scope_type = forms.RegexField(
        SLUG,
        label=gettext_lazy("Scope type"),
        required=False,
        initial="project",
        max_length=63,
        error_messages=SLUG_ONLY,
        widget=forms.TextInput(attrs=_TEXT),
    )
    scope_id = forms.CharField(
        label=gettext_lazy("Scope key"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs=_TEXT),
    )
    input = forms.CharField(
        label=gettext_lazy("Brief"),
        required=False,
        strip=False,
        max_length=_MAX_BRIEF,
        widget=forms.Textarea(attrs={"rows": 8, "dir": "auto"}),
    )
    tags = forms.CharField(
        label=gettext_lazy("Tags, separated by commas"),
        required=False,
        max_length=2_000,
        widget=forms.TextInput(attrs=_TEXT),
    )
    dry_run = forms.BooleanField(
        label=gettext_lazy("Dry run: a rehearsal model replaces all models, and nothing is spent"), required=False
    )
    reuse = forms.CharField(required=False)
    new_scope = forms.CharField(required=False)

    def __init__(
        self, workflows: Iterable[Any], scopes: Iterable[tuple[str, str]], *arguments: Any, **options: Any
    ) -> None:
        """Offer workflows, and scopes by type and key."""
        super().__init__(*arguments, **options)
        self.workflows, self.scopes = [*workflows], [*scopes]
        self.fields["scope"].choices = [  # type: ignore[attr-defined]
            ("", gettext("Another one, named below")),
            *((f"{kind}/{key}", f"{key} ({kind})") for kind, key in self.scopes),
        ]
        self.fields["workflow_id"].choices = [(each.id, each.name) for each in self.workflows]  # type: ignore[attr-defined]
        for name, limit in _LIMITS.items():
            self.fields[BUDGET + name] = type(limit)(**_options(limit))

    def clean_input(self) -> str:
        """Return the text as it was written: browsers send other ends of lines, editors a mark of the byte order."""
        return str(self.cleaned_data["input"]).replace("\r\n", "\n").removeprefix("\ufeff")

    def clean_scope_id(self) -> str:
        """Return the normalized key.

        Raises:
            ValidationError: see `clean_key`.
        """
        return "" if self["scope"].value() else clean_key(self.cleaned_data["scope_id"])

    def clean(self) -> None:
        """Take the scope that was chosen, or else the one that was named."""
        chosen = self.cleaned_data.get("scope")
        if chosen:
            self.errors.pop("scope_type", None)
            self.cleaned_data["scope_type"], _, self.cleaned_data["scope_id"] = chosen.partition("/")
            return
        told = {
            "scope_type": gettext("Enter the type of the scope, such as project."),
            "scope_id": gettext("Enter the key of a scope: the documents of a scope belong together."),
        }
        for name, detail in told.items():
            if name not in self.errors and not self.cleaned_data.get(name):
                self.add_error(name, detail)

    @property
    def scope_field(self) -> str:
        """The field that names the scope."""
        return "scope" if self["scope"].value() else "scope_id"

    def clean_tags(self) -> list[str]:
        """Return the tags, each once.

        Raises:
            ValidationError: there are too many, or one is no tag.
        """
        tags = [*dict.fromkeys(visible(each) for part in self.cleaned_data["tags"].split(",")
                               if (each := normalize_name(part)))]  # fmt: skip
        if len(tags) > (most := limits().tags):
            raise forms.ValidationError(gettext("At most %(most)d tags.") % {"most": most})
        if wrong := next((each for each in tags if len(each) > _MAX_TAG or has_dots(each)), None):
            detail = gettext("“%(tag)s” is no tag: it has at most 63 characters, and no part . or .. between slashes.")
            raise forms.ValidationError(detail % {"tag": wrong})
        return tags

    @property
    def limits(self) -> list[forms.BoundField]:
        """The fields of the budget."""
        return [self[BUDGET + name] for name in _LIMITS]

    @property
    def budget(self) -> dict[str, Any]:
        """The limits that were set. The fields of the budget are valid."""
        given = {name: self.cleaned_data.get(BUDGET + name) for name in _LIMITS}
        return {name: value for name, value in given.items() if value is not None}


def _options(limit: forms.Field) -> dict[str, Any]:
    """Return what makes a field like this one."""
    names = {"label", "required", "min_value", "max_value", "max_digits", "decimal_places"}
    given = {name: value for name, value in vars(limit).items() if name in names}
    return {**given, "widget": forms.TextInput(attrs={"inputmode": "decimal", **_TEXT})}


def initial_of(row: Any) -> dict[str, Any]:
    """Return the values of an earlier execution, but for its brief and files."""
    budget = {BUDGET + name: plain_number(value) for name, value in (row.budget or {}).items() if value is not None}
    return {
        "workflow_id": row.workflow_id,
        "scope_type": row.scope.type,
        "scope_id": row.scope.key,
        "tags": ", ".join(row.tags),
        "dry_run": row.script is not None,
        **budget,
    }


@dataclass(kw_only=True)
class Filled:
    """The whole form as it is filled in: fields, files, the script, and what was refused."""

    form: StartForm
    script: ScriptForm
    definition: WorkflowDefinition | None  # that of the chosen workflow
    files: Mapping[UUID, Any]  # `UsableFile` by id
    file_faults: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # that belong to no field
    has_new_key: bool = False  # what is sent next is another start

    @property
    def is_valid(self) -> bool:
        """Whether the fields are valid; the script counts in a dry run alone."""
        is_valid = self.form.is_valid()
        return (not self.is_dry_run or self.script.is_valid()) and is_valid

    @property
    def is_dry_run(self) -> bool:
        """Whether no model shall be called."""
        return bool(self.form["dry_run"].value())

    @property
    def has_limits(self) -> bool:
        """Whether there are limits or tags."""
        return any(each.value() or each.errors for each in [*self.form.limits, self.form["tags"]])

    @cached_property
    def brief(self) -> Brief | None:
        """The text, the text with files, only files, or None. Call it after `is_valid`."""
        text = self.form.cleaned_data.get("input") or ""
        said: dict[str, Any] = {"text": text} if text.strip() else {}
        if self.files:
            return {**said, FILES: [str(each) for each in self.files]}
        return text if said else None

    @property
    def dry_script(self) -> DryRunScript | None:
        """The script of the dry run; None: it is none. Call it after `is_valid`."""
        return self.script.script if self.is_dry_run else None

    def forgive(self) -> None:
        """Show no faults: the form was not sent yet."""
        for form in (self.form, self.script):
            form.errors.clear()

    def refuse(self, error: DomainError) -> None:
        """Put a refusal to its fields, in words of the page."""
        for each in error.errors or [FieldError(pointer="", code=error.code, detail=str(error))]:
            self._place(each)

    def _place(self, fault: FieldError) -> None:
        name, _, rest = fault.pointer.strip("/").partition("/")
        step = PREFIX + rest.removeprefix("steps/").partition("/")[0]
        if fault.pointer.startswith(pointer("input", FILES)):
            self.file_faults.append(fault.detail)
        elif name == "rehearsal" and step in self.script.fields:
            self.script.add_error(step, fault.detail)
        elif name in {"scope_type", "scope_id"}:
            self.form.add_error(self.form.scope_field, fault.detail)
        elif name == "steps":  # of the workflow
            self.form.add_error("workflow_id", fault.detail)
        elif name in self.form.fields:
            self.form.add_error(name, _WORDS.get((name, fault.code), fault.detail))
        else:
            self.faults.append(fault.detail)


#: Refusals of the API that people would not understand.
_WORDS = {
    ("input", "required"): gettext_lazy("This workflow needs a brief: write it, or add a file."),
    ("input", "not_allowed"): gettext_lazy("This workflow takes no brief: leave the text empty, and remove the files."),
}


def ids_in(sent: QueryDict) -> list[UUID]:
    """Return the ids of files that a form sends. Other values are left out."""
    found = []
    for value in sent.getlist(FILE_IDS):
        try:
            found.append(UUID(value))
        except ValueError:
            continue
    return [*dict.fromkeys(found)]

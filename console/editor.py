"""The form in which a person edits the content of a document: fields by the schema, or the whole as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext

from common.errors import DomainError, FieldError
from common.limits import limits
from console.content_form import MISSING, ContentField, FormBuilder, with_errors
from console.forms import NoteForm
from console.sent_content import Empty, Kind, SentContent, json_text, name_of, read_content

_CONTENT = "/content"
_WHOLE = name_of(Kind.JSON, Empty.KEEP, "")


@dataclass(slots=True, kw_only=True)
class Editing:
    """A content that is being edited, as its page shows it."""

    form: NoteForm
    schema: Any
    sent: SentContent
    is_json: bool = False
    is_sent: bool = False  # by a form, which the page shows again
    show: str = ""  # what a button asks to show, instead of storing: `form`, `json`, `draft` or `merge`
    errors: list[FieldError] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)  # errors that have no field

    @classmethod
    def begin(cls, form: NoteForm, content: Any, schema: Any) -> Editing:
        """Return the editing of a content; `MISSING` for a new document of this schema."""
        return cls(form=form, schema=schema, sent=SentContent(content))

    @classmethod
    def receive(cls, form: NoteForm, sent: QueryDict, schema: Any) -> Editing:
        """Return what a form has sent.

        Raises:
            Malformed: no page has made this form.
        """
        content, show = read_content((name, str(value)) for name, value in sent.items()), sent.get("show", "")
        is_json = _WHOLE in sent
        if show in {"form", "json"} and not content.errors:
            is_json = show == "json"
        return cls(
            form=form, schema=schema, sent=content, is_json=is_json, is_sent=True, show=show, errors=content.errors[:]
        )

    @property
    def content(self) -> Any:
        """The content that was sent."""
        return self.sent.content

    @property
    def is_valid(self) -> bool:
        """Whether all fields could be read."""
        return self.form.is_valid() and not self.errors

    @property
    def has_json_view(self) -> bool:
        """Whether the content can be shown as JSON: a text is shown as it is."""
        return not isinstance(self.content, str) or bool(self.schema)

    def refuse(self, error: DomainError) -> None:
        """Keep the errors of a command for their fields."""
        for each in error.errors:
            name = each.pointer.removeprefix("/")
            if each.pointer.startswith(_CONTENT):
                self.errors.append(each.model_copy(update={"pointer": each.pointer.removeprefix(_CONTENT)}))
            elif name in self.form.fields:
                self.form.add_error(name, each.detail)
            else:
                self.sentences.append(each.detail)
        if not error.errors:
            self.sentences.append(gettext(str(error)))

    def take(self, content: Any) -> None:
        """Show another content."""
        self.sent, self.errors = SentContent(content), []

    @property
    def tree(self) -> ContentField:
        """The fields of the content. A content with too many values for a form is shown as JSON."""
        return with_errors(self._fields(), self.errors)

    @property
    def most_fields(self) -> int:
        """How many fields the server takes of a form."""
        return limits().query_fields

    @property
    def has_form_view(self) -> bool:
        """Whether the content can be shown as a form."""
        builder = FormBuilder(unread=self.sent.unread)
        builder.whole(self.content, self.schema)
        return not builder.is_full

    def _fields(self) -> ContentField:
        builder = FormBuilder(unread=self.sent.unread)
        if not self.is_json:
            tree = builder.whole(self.content, self.schema)
            self.is_json = tree.name == _WHOLE
            return tree
        unread = self.sent.unread.get("")
        shown = "" if self.content is MISSING else json_text(self.content)
        return builder.whole_as_json(unread.text if unread else shown)

    @property
    def has_errors(self) -> bool:
        """Whether a field or the form has an error."""
        return bool(self.errors or self.sentences or self.form.errors)

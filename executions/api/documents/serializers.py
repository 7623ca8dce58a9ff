"""Serializers of commands on documents."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.serializers import StrictSerializer
from common.names import NameField
from executions.api.fields import TextOrObjectField
from executions.api.serializers import MAX_INTEGER, SLUG, CommentOnPassage

MAX_NOTE = 2_000  # characters
MAX_TITLE = 500  # characters
_NOTE = "Why: for the record, and for those who read the history."


class AddDocumentRequest(StrictSerializer):
    """A document that a person has written."""

    scope_type = serializers.RegexField(SLUG, max_length=63, help_text="Type of the root scope.")
    scope_id = NameField(max_length=200, help_text="Key of the root scope; a new one belongs to you.")
    type = serializers.RegexField(SLUG, max_length=63, help_text="Document type, as in a step's `produces`.")
    title = serializers.CharField(
        required=False, max_length=MAX_TITLE, help_text="By default the `title` in the content."
    )
    content = TextOrObjectField(required=False, help_text="An object, or a Markdown text; without it, name a file.")
    file = serializers.UUIDField(
        required=False, help_text="Instead of the content: an uploaded file, whose text becomes the content."
    )
    schema_hash = serializers.RegexField(
        r"^[0-9a-f]{64}$",
        required=False,
        help_text="Schema to validate against; by default the newest of this type in the scope. Without either, the "
        "content is free.",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE, help_text=_NOTE)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values.

        Raises:
            ValidationError: there are both a content and a file, or neither.
        """
        if "content" in attrs and "file" in attrs:
            raise serializers.ValidationError({"file": ["Give either the content or a file."]})
        if "content" not in attrs and "file" not in attrs:
            detail = serializers.ErrorDetail("Give the content, or a file.", code="required")
            raise serializers.ValidationError({"content": [detail]})
        return attrs


class EditDocumentRequest(StrictSerializer):
    """The new content of a document."""

    content = TextOrObjectField(help_text="The whole new content.")
    title = serializers.CharField(
        required=False, max_length=MAX_TITLE, help_text="By default the `title` in the content, else the present one."
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE, help_text=_NOTE)


class PatchFilters(StrictSerializer):
    """The query of an edit by JSON Patch."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE, help_text=_NOTE)


class JsonPatchOperation(serializers.Serializer[Any]):
    """One operation of a JSON Patch (RFC 6902); for the OpenAPI document only."""

    op = serializers.ChoiceField(choices=["add", "remove", "replace", "move", "copy", "test"])
    path = serializers.CharField(help_text="RFC 6901 pointer into the content.")
    value = serializers.JSONField(required=False)


class RestoreDocumentRequest(StrictSerializer):
    """The earlier version whose content becomes the newest."""

    version = serializers.IntegerField(min_value=1, max_value=MAX_INTEGER)
    note = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTE, help_text=_NOTE)


class CommentRequest(CommentOnPassage):
    """A remark about a passage of a document."""

    text = serializers.CharField(max_length=10_000, help_text="What you want to say.")
    start = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_INTEGER,
        help_text="About where the quote begins, in characters; needed only where the text has it more than once.",
    )
    document_version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_INTEGER,
        help_text="The version that you read; by default the newest.",
    )


class ResolveCommentRequest(StrictSerializer):
    """Whether a comment is done."""

    resolved = serializers.BooleanField(help_text="true: resolve it; false: open it again.")
    version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_INTEGER,
        help_text="The comment's version that you read; 409 if it has another one. `If-Match` answers with 412.",
    )


class CommentFilters(StrictSerializer):
    """Filters of the list of comments."""

    resolved = serializers.BooleanField(
        allow_null=True, default=None, help_text="true: only resolved comments; false: only open ones."
    )

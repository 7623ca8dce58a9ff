"""Serializer fields for free-form JSON that can be stored and returned unchanged, and for tags."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import pydantic
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.limits import limits
from common.names import NameField
from executions.engine.domain.brief import FILES
from executions.engine.domain.dry_run import DryRunScript

MAX_CHARACTERS = 200_000  # of a text, or of an object's JSON
MAX_DEPTH = 20


def _storage_error(value: object, *path: str) -> tuple[tuple[str, ...], str] | None:
    """Return path and reason if PostgreSQL could not store the value unchanged, else None."""
    if len(path) > MAX_DEPTH:
        return path, f"Nested more than {MAX_DEPTH} levels deep."
    if isinstance(value, str) and "\x00" in value:
        return path, "Text with a character (U+0000) that cannot be stored."
    if isinstance(value, float) and not math.isfinite(value):
        return path, "A number beyond what can be stored."
    inner: Iterable[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        if any("\x00" in str(name) for name in value):
            return path, "A name with a character (U+0000) that cannot be stored."
        inner = value.items()
    elif isinstance(value, list):
        inner = ((str(number), item) for number, item in enumerate(value))
    return next((error for name, item in inner if (error := _storage_error(item, *path, name))), None)


class _JsonField(serializers.Field):
    default_error_messages: ClassVar[dict[str, Any]] = {
        "too_long": "More than {limit} characters.",
    }

    def check(self, value: object) -> None:
        """Reject values that cannot be stored.

        Raises:
            ValidationError: the value is too deep or too long, or PostgreSQL cannot store it; the error is at its path.
        """
        if error := _storage_error(value):
            path, message = error
            raise serializers.ValidationError(_nested_at(path, [serializers.ErrorDetail(message, code="not_storable")]))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > (most := self.max_characters()):
            self.fail("too_long", limit=most)

    def max_characters(self) -> int:
        """Return the maximum number of characters of a text, or of an object's JSON."""
        return MAX_CHARACTERS

    def to_representation(self, value: object) -> object:
        """Return the value unchanged."""
        return value


def _text_or_object(max_characters: int) -> dict[str, list[dict[str, Any]]]:
    return {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": max_characters, "pattern": r"\S"},
            {"type": "object", "minProperties": 1, "additionalProperties": True},
        ]
    }


_TEXT_OR_OBJECT = _text_or_object(MAX_CHARACTERS)
_FILE_IDS = {
    "type": "array",
    "items": {"type": "string", "format": "uuid"},
    "maxItems": limits().execution_files,
    "description": "Ids of uploaded files. With `text` alone beside it, the brief is that text.",
}
_BRIEF = {"oneOf": [_TEXT_OR_OBJECT["oneOf"][0], {**_TEXT_OR_OBJECT["oneOf"][1], "properties": {FILES: _FILE_IDS}}]}


@extend_schema_field(_TEXT_OR_OBJECT)
class TextOrObjectField(_JsonField):
    """A text or an object, not empty."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "wrong_type": "Expected a text or an object.",
        "empty": "This may not be empty.",
    }

    def to_internal_value(self, data: object) -> object:
        """Return the value, without a byte order mark at the start of a text.

        Raises:
            ValidationError: the value is neither text nor object, is empty, or cannot be stored.
        """
        if not isinstance(data, str | Mapping):
            self.fail("wrong_type")
        if isinstance(data, str):
            data = data.removeprefix("\ufeff")  # the byte order mark that some editors write
        if not (data.strip() if isinstance(data, str) else data):
            self.fail("empty")
        self.check(data)
        return data


@extend_schema_field(_text_or_object(limits().definition_bytes))
class DefinitionField(TextOrObjectField):
    """A definition of a workflow, as large as one that is published."""

    def max_characters(self) -> int:
        """Return the maximum number of characters of its JSON."""
        return limits().definition_bytes


@extend_schema_field(_BRIEF)
class BriefField(TextOrObjectField):
    """The brief of an execution. `files` is a reserved name in an object: ids of uploaded files."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "empty": "This may not be empty; omit it to start without a brief.",
    }

    def to_internal_value(self, data: object) -> object:
        """Return the brief, with the ids of its files in their canonical form.

        Raises:
            ValidationError: as for the base class, or `files` is not a list of ids.
        """
        brief = super().to_internal_value(data)
        if not isinstance(brief, Mapping) or FILES not in brief:
            return brief
        if not isinstance(listed := brief[FILES], list):
            raise serializers.ValidationError({FILES: ["Expected a list of file ids."]})
        if len(listed) > limits().execution_files:
            detail = f"Ensure this field has no more than {limits().execution_files} elements."
            raise serializers.ValidationError({FILES: [serializers.ErrorDetail(detail, code="max_length")]})
        if not listed and len(brief) == 1:
            self.fail("empty")
        return {**brief, FILES: [str(_file_id(each, str(index))) for index, each in enumerate(listed)]}


def _file_id(value: object, index: str) -> UUID:
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError as error:
        messages = [serializers.ErrorDetail("Must be the id of a file.", code="invalid")]
        raise serializers.ValidationError(_nested_at([FILES, index], messages)) from error


@extend_schema_field({"type": "object", "additionalProperties": True, "example": {"discovery.1.1": "yes"}})
class AnswersField(_JsonField):
    """Answers by question id or question text."""

    default_error_messages: ClassVar[dict[str, Any]] = {"wrong_type": "Expected an object: answers by question."}

    def to_internal_value(self, data: object) -> object:
        """Return the answers.

        Raises:
            ValidationError: the value is not an object, or some answers cannot be stored.
        """
        if not isinstance(data, Mapping):
            self.fail("wrong_type")
        self.check(dict.fromkeys(data))
        errors: dict[str, Any] = {}
        for key, value in data.items():
            try:
                self.check({key: value})
            except serializers.ValidationError as error:
                errors |= error.detail if isinstance(error.detail, dict) else {key: error.detail}
        if errors:
            raise serializers.ValidationError(errors)
        self.check(data)
        return dict(data)


class TagsField(serializers.ListField):
    """Tags of an execution."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=NameField(max_length=63), max_length=limits().tags, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the tags.

        Raises:
            ValidationError: there are too many tags, or some are invalid.
        """
        if isinstance(data, list) and len(data) > limits().tags:
            detail = f"Ensure this field has no more than {limits().tags} elements."
            raise serializers.ValidationError(detail, code="max_length")
        return super().to_internal_value(data)


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a JSON Schema with its references replaced by their definitions."""
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    definition = parts.get(str(schema.get("$ref")).removeprefix("#/$defs/"), {})
    own = {name: value for name, value in schema.items() if name not in {"$ref", "$defs"}}
    return {name: _inlined(value, parts) for name, value in {**definition, **own}.items()}


_SCRIPT_SCHEMA: dict[str, Any] = DryRunScript.model_json_schema()


@extend_schema_field(_inlined(_SCRIPT_SCHEMA, _SCRIPT_SCHEMA["$defs"]))
class ScriptField(_JsonField):
    """The script of a dry run: what the simulated models do."""

    def to_internal_value(self, data: object) -> DryRunScript:
        """Return the script.

        Raises:
            ValidationError: the value is not a script; each error is at its path.
        """
        self.check(data)
        try:
            return DryRunScript.model_validate(data)
        except pydantic.ValidationError as error:
            raise serializers.ValidationError(_nested(error)) from error


def _nested(error: pydantic.ValidationError) -> dict[str, Any] | list[str]:
    """Return the errors of the validation, nested by path."""
    errors: dict[str, Any] = {}
    for item in error.errors():
        if not item["loc"]:
            return [item["msg"]]
        _merge(errors, _nested_at([str(part) for part in item["loc"]], [item["msg"]]))
    return errors


def _nested_at(path: Sequence[str], messages: Sequence[str]) -> Any:
    """Return the messages nested under the names of the path."""
    nested: Any = messages
    for name in reversed(path):
        nested = {name: nested}
    return nested


def _merge(target: dict[str, Any], addition: Mapping[str, Any]) -> None:
    for name, value in addition.items():
        if isinstance(value, Mapping) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value

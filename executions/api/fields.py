"""Values as clients send them: free-form JSON, no more of it than can be stored and shown again, and lists of words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pydantic
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.limits import limits
from common.names import NameField
from common.sources.text_source import without_byte_order_mark
from executions.engine.domain.dry_run import DryRunScript

MAX_CHARACTERS = 200_000  # of text, or of an object's JSON
MAX_DEPTH = 20


def _fault(value: object, *where: str) -> tuple[tuple[str, ...], str] | None:
    """Return where and why PostgreSQL could not store the value as it is, None when it can."""
    if len(where) > MAX_DEPTH:
        return where, f"Nested more than {MAX_DEPTH} levels deep."
    if isinstance(value, str) and "\x00" in value:
        return where, "Text with a character (U+0000) that cannot be stored."
    if isinstance(value, float) and not math.isfinite(value):
        return where, "A number beyond what can be stored."
    inner: Iterable[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        if any("\x00" in str(name) for name in value):
            return where, "A name with a character (U+0000) that cannot be stored."
        inner = value.items()
    elif isinstance(value, list):
        inner = ((str(number), each) for number, each in enumerate(value))
    return next((fault for name, each in inner if (fault := _fault(each, *where, name))), None)


class _JsonField(serializers.Field):
    default_error_messages: ClassVar[dict[str, Any]] = {
        "too_long": "More than {limit} characters.",
    }

    def check(self, value: object) -> None:
        """Refuse what cannot be stored.

        Raises:
            ValidationError: it is too deep, too long or holds what JSON in PostgreSQL cannot; named where it is.
        """
        if fault := _fault(value):
            where, message = fault
            raise serializers.ValidationError(_placed(where, [serializers.ErrorDetail(message, code="not_storable")]))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_CHARACTERS:
            self.fail("too_long", limit=MAX_CHARACTERS)

    def to_representation(self, value: object) -> object:
        """Return it as it is."""
        return value


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS, "pattern": r"\S"},
            {"type": "object", "minProperties": 1, "additionalProperties": True},
        ]
    }
)
class BriefField(_JsonField):
    """What an execution works on: a text or an object, not empty."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "wrong_type": "Expected a text or an object.",
        "empty": "This may not be empty; leave it out to start without a brief.",
    }

    def to_internal_value(self, data: object) -> object:
        """Return the brief.

        A byte order mark before a text is no part of it.

        Raises:
            ValidationError: it is neither text nor object, empty, or cannot be stored.
        """
        if not isinstance(data, str | Mapping):
            self.fail("wrong_type")
        if isinstance(data, str):
            data = without_byte_order_mark(data)
        if not (data.strip() if isinstance(data, str) else data):
            self.fail("empty")
        self.check(data)
        return data


@extend_schema_field({"type": "object", "additionalProperties": True, "example": {"discovery.1.1": "yes"}})
class AnswersField(_JsonField):
    """Answers by question: its id, or its text."""

    default_error_messages: ClassVar[dict[str, Any]] = {"wrong_type": "Expected an object: answers by question."}

    def to_internal_value(self, data: object) -> object:
        """Return the answers.

        Raises:
            ValidationError: it is no object, or some answers cannot be stored.
        """
        if not isinstance(data, Mapping):
            self.fail("wrong_type")
        self.check(dict.fromkeys(data))
        faults: dict[str, Any] = {}
        for key, value in data.items():
            try:
                self.check({key: value})
            except serializers.ValidationError as error:
                faults |= error.detail if isinstance(error.detail, dict) else {key: error.detail}
        if faults:
            raise serializers.ValidationError(faults)
        self.check(data)
        return dict(data)


class TagsField(serializers.ListField):
    """Tags of an execution."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=NameField(max_length=63), max_length=limits().tags, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the tags.

        Raises:
            ValidationError: there are too many, which are not looked at one by one, or some cannot be right.
        """
        if isinstance(data, list) and len(data) > limits().tags:
            detail = f"Ensure this field has no more than {limits().tags} elements."
            raise serializers.ValidationError(detail, code="max_length")
        return super().to_internal_value(data)


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a JSON Schema with its definitions put in where they are referred to."""
    if isinstance(schema, list):
        return [_inlined(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = parts.get(str(schema.get("$ref")).removeprefix("#/$defs/"), {})
    own = {name: value for name, value in schema.items() if name not in {"$ref", "$defs"}}
    return {name: _inlined(value, parts) for name, value in {**named, **own}.items()}


_SCRIPT_SCHEMA: dict[str, Any] = DryRunScript.model_json_schema()


@extend_schema_field(_inlined(_SCRIPT_SCHEMA, _SCRIPT_SCHEMA["$defs"]))
class ScriptField(_JsonField):
    """What the rehearsal shall do in a dry run."""

    def to_internal_value(self, data: object) -> DryRunScript:
        """Return the script.

        Raises:
            ValidationError: it is none; each fault is named where it is.
        """
        self.check(data)
        try:
            return DryRunScript.model_validate(data)
        except pydantic.ValidationError as error:
            raise serializers.ValidationError(_nested(error)) from error


def _nested(error: pydantic.ValidationError) -> dict[str, Any] | list[str]:
    """Return what is wrong, each under the names that lead to it."""
    found: dict[str, Any] = {}
    for each in error.errors():
        if not each["loc"]:
            return [each["msg"]]
        _merge(found, _placed([str(part) for part in each["loc"]], [each["msg"]]))
    return found


def _placed(where: Sequence[str], said: list[str]) -> Any:
    """Return what is wrong under the names that lead to it."""
    found: Any = said
    for name in reversed(where):
        found = {name: found}
    return found


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value

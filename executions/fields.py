"""Values as clients send them: free-form JSON, no more of it than can be stored and shown again, and lists of words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pydantic
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from executions.engine.dry_run import Script

MAX_CHARACTERS = 200_000  # of text, or of an object's JSON
MAX_DEPTH = 20


def _fault(value: object, depth: int = 0) -> str | None:
    """Return why PostgreSQL could not store the value as it is, None when it can."""
    if depth > MAX_DEPTH:
        return f"Nested more than {MAX_DEPTH} levels deep."
    if isinstance(value, str):
        return "Text with a character (U+0000) that cannot be stored." if "\x00" in value else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "A number beyond what can be stored."
    inner: list[object] = []
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        inner = value
    return next((fault for each in inner if (fault := _fault(each, depth + 1))), None)


class _JsonField(serializers.Field):
    default_error_messages: ClassVar[dict[str, Any]] = {
        "too_long": "More than {limit} characters.",
        "not_storable": "{fault}",
    }

    def check(self, value: object) -> None:
        """Refuse what cannot be stored.

        Raises:
            ValidationError: it is too deep, too long or holds what JSON in PostgreSQL cannot.
        """
        if fault := _fault(value):
            self.fail("not_storable", fault=fault)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_CHARACTERS:
            self.fail("too_long", limit=MAX_CHARACTERS)

    def to_representation(self, value: object) -> object:
        """Return it as it is."""
        return value


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
            {"type": "object", "minProperties": 1, "additionalProperties": True},
        ]
    }
)
class BriefField(_JsonField):
    """What an execution works on: a text or an object, not empty."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "wrong_type": "Expected a text or an object.",
        "empty": "This may not be empty.",
    }

    def to_internal_value(self, data: object) -> object:
        """Return the brief.

        Raises:
            ValidationError: it is neither text nor object, empty, or cannot be stored.
        """
        if not isinstance(data, str | Mapping):
            self.fail("wrong_type")
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
        faults = {key: fault for key, value in data.items() if (fault := _fault(value, 1))}
        if faults:
            raise serializers.ValidationError(
                {key: [serializers.ErrorDetail(fault, code="not_storable")] for key, fault in faults.items()}
            )
        self.check(data)
        return dict(data)


class WordsField(serializers.ListField):
    """Some of the words that there are: with commas between them, or one by one."""

    def __init__(self, *, words: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(child=serializers.ChoiceField(choices=words), allow_empty=False, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the words, each once.

        Raises:
            ValidationError: with those that are not known.
        """
        texts = data if isinstance(data, list) else [data]
        found = [word.strip() for text in texts for word in str(text).split(",") if word.strip()]
        return super().to_internal_value(list(dict.fromkeys(found)))


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a JSON Schema with its definitions put in where they are referred to."""
    if isinstance(schema, list):
        return [_inlined(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    named = parts.get(str(schema.get("$ref")).removeprefix("#/$defs/"), {})
    own = {name: value for name, value in schema.items() if name not in {"$ref", "$defs"}}
    return {name: _inlined(value, parts) for name, value in {**named, **own}.items()}


_SCRIPT_SCHEMA: dict[str, Any] = Script.model_json_schema()


@extend_schema_field(_inlined(_SCRIPT_SCHEMA, _SCRIPT_SCHEMA["$defs"]))
class ScriptField(_JsonField):
    """What the rehearsal shall do in a dry run."""

    def to_internal_value(self, data: object) -> Script:
        """Return the script.

        Raises:
            ValidationError: it is none; each fault is named where it is.
        """
        self.check(data)
        try:
            return Script.model_validate(data)
        except pydantic.ValidationError as error:
            raise serializers.ValidationError(_nested(error)) from error


def _nested(error: pydantic.ValidationError) -> dict[str, Any] | list[str]:
    """Return what is wrong, each under the names that lead to it."""
    found: dict[str, Any] = {}
    for each in error.errors():
        if not each["loc"]:
            return [each["msg"]]
        place = found
        for part in each["loc"][:-1]:
            place = place.setdefault(str(part), {})
        place[str(each["loc"][-1])] = [each["msg"]]
    return found

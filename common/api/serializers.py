"""What serializers of all rooms are made of: requests in which unknown fields are errors, and fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.database.counts import MAX_COUNT, count_text
from common.limits import MAX_ERRORS
from common.listings import listed
from common.time import format_rfc3339

PAGE_PARAMETERS = frozenset({"limit", "cursor"})
#: Form of a page cursor; an empty one means the first page.
CURSOR_PATTERN = "^[A-Za-z0-9_-]*$"

#: Fields that would convert a JSON value of another type, and the types that they take.
_JSON_TYPES: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...]], ...] = (
    (serializers.CharField, (str,)),
    (serializers.UUIDField, (str,)),
    (serializers.BooleanField, (bool,)),
    (serializers.IntegerField, (int, float)),
    (serializers.FloatField, (int, float)),
)


def _type_error(field: Any, value: Any) -> Any:
    """Return the error of a JSON value whose type is not that of its field; for a list, those of its items."""
    if value is None:
        return None
    if isinstance(field, serializers.ListField):
        is_short = isinstance(value, list) and (field.max_length is None or len(value) <= field.max_length)
        found = {index: _type_error(field.child, item) for index, item in enumerate(value if is_short else ())}
        return {index: error for index, error in found.items() if error} or None
    types = next((types for kind, types in _JSON_TYPES if isinstance(field, kind)), (object,))
    if isinstance(value, types):
        return None
    return [serializers.ErrorDetail(field.error_messages["invalid"], code="invalid")]


def _joined(first: Any, second: Any) -> Any:
    """Return the errors of one field, found by two checks; those of items are joined, else the second counts."""
    return {**first, **second} if isinstance(first, Mapping) and isinstance(second, Mapping) else second


def represent(kind: type[serializers.Serializer[Any]], value: object) -> dict[str, Any]:
    """Return a value as a response shows it.

    All responses share one serializer of each class: a new one copies all its fields, which takes longer than to use
    it. So such a class has no context, and keeps nothing between two values.
    """
    shown: dict[str, Any] = _shared(kind).to_representation(value)
    return shown


def represent_all(kind: type[serializers.Serializer[Any]], values: Iterable[object]) -> list[dict[str, Any]]:
    """Return values as a response shows them."""
    return [represent(kind, value) for value in values]


@cache
def _shared(kind: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    return kind()


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that rejects unknown fields, so that typos do not pass unnoticed.

    In JSON each value has the type of its field: the number 1 is no text, and the text "1" is no number.

    For query parameters pass `request.query_params`. A repeated parameter is a list for a ListField, and an error for
    any other field. `limit` and `cursor` belong to the paginator and are accepted; a view without pages sets
    `page_parameters = frozenset()`.
    """

    page_parameters: frozenset[str] = PAGE_PARAMETERS

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values.

        Raises:
            ValidationError: it lists every unknown or invalid field.
        """
        is_query = isinstance(data, QueryDict)
        names = dict.fromkeys(data) if isinstance(data, Mapping) else {}
        known = self.fields.keys() | (self.page_parameters if is_query else frozenset())
        unknown = [name for name in names if name not in known]
        errors: dict[str, Any] = {
            name: [serializers.ErrorDetail("This field is unknown.", code="unknown_field")]
            for name in unknown[:MAX_ERRORS]
        }
        self.root.omitted_errors = getattr(self.root, "omitted_errors", 0) + len(unknown) - len(errors)  # type: ignore[attr-defined]
        if is_query:
            lists = {name for name, field in self.fields.items() if isinstance(field, serializers.ListField)}
            for name in names.keys() - lists - set(unknown):
                if len(data.getlist(name)) > 1:
                    errors[name] = [serializers.ErrorDetail("Given more than once.", code="repeated")]
        else:
            given = {name: data[name] for name in names if name in known}
            found = {name: _type_error(self.fields[name], value) for name, value in given.items()}
            errors |= {name: error for name, error in found.items() if error}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            both = {name: _joined(error.detail[name], errors[name]) for name in error.detail.keys() & errors.keys()}
            raise serializers.ValidationError({**error.detail, **errors, **both}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return values


class InvalidForm(serializers.ValidationError):
    """Invalid values; `omitted` counts the errors that the detail does not list."""

    def __init__(self, detail: Any, *, omitted: int) -> None:
        super().__init__(detail)
        self.omitted = omitted


def checked(form: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """Return the validated values of a serializer.

    Raises:
        InvalidForm: `data` has unknown or invalid fields.
    """
    serializer = form(data=data)
    if not serializer.is_valid():
        raise InvalidForm(serializer.errors, omitted=getattr(serializer, "omitted_errors", 0))
    values: dict[str, Any] = serializer.validated_data
    return values


COUNT_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "enum": [count_text(MAX_COUNT)]}]
}


@extend_schema_field(COUNT_SCHEMA)
class CountField(serializers.Field[Any, Any, Any, Any]):
    """A count that is exact to 100; above it is the text `100+`."""

    def to_representation(self, value: int) -> int | str:
        """Return the count."""
        return value if value < MAX_COUNT else count_text(value)


class ListedChoiceField(serializers.ChoiceField):
    """A choice whose error message lists the valid choices."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the choice.

        Raises:
            ValidationError: the value is not one of the choices.
        """
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(self._error_text(data), code="invalid_choice") from error

    def _error_text(self, data: object) -> str:
        subject = repr(data) if isinstance(data, str) else "This"
        return f"{subject} is not one of: {listed([*self.choices])}."


class CommaSeparatedChoiceField(serializers.ListField):
    """A list of choices, given as a comma-separated text or as a repeated parameter."""

    def __init__(self, *, choices: Sequence[Any], **options: Any) -> None:
        super().__init__(child=ListedChoiceField(choices=choices), allow_empty=False, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the choices without duplicates.

        Raises:
            ValidationError: it lists the unknown values.
        """
        texts = data if isinstance(data, list) else [data]
        found = [part.strip() for text in texts for part in str(text).split(",") if part.strip()]
        return super().to_internal_value(list(dict.fromkeys(found)))


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(serializers.Field):
    """A point in time in responses."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: datetime) -> str:
        """Return the time as RFC 3339 text."""
        return format_rfc3339(value)


@extend_schema_field({"type": "string", "example": "0.0123000000"})
class MoneyField(serializers.Field):
    """US dollars in responses: a decimal string with ten decimals. With `allow_null`: null if it is not known."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: Decimal) -> str:
        """Return the amount as text."""
        return f"{value:.10f}"

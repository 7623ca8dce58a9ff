"""Base class of all request serializers: unknown fields are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers

from common.limits import MAX_ERRORS

PAGE_PARAMETERS = frozenset({"limit", "cursor"})

#: Fields that would convert a JSON value of another type, and the types that they take.
_JSON_TYPES: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...]], ...] = (
    (serializers.CharField, (str,)),
    (serializers.UUIDField, (str,)),
    (serializers.BooleanField, (bool,)),
    (serializers.IntegerField, (int, float)),
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

"""Serializer fields that all apps share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.listings import listed
from common.time import format_rfc3339

#: Form of a page cursor; an empty one means the first page.
CURSOR_PATTERN = "^[A-Za-z0-9_-]*$"


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

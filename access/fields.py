"""How values look to clients, the same in every room."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.listings import listed


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class WordField(serializers.ChoiceField):
    """One of a few words on its way in; for another one the answer names them."""

    def to_internal_value(self, data: object) -> object:
        """Return the word.

        Raises:
            ValidationError: it is none of them.
        """
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(self._refusal(data), code="invalid_choice") from error

    def _refusal(self, data: object) -> str:
        said = repr(data) if isinstance(data, str) else "This"
        return f"{said} is none of: {listed([*self.choices])}."


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(serializers.Field):
    """A moment on its way out."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: datetime) -> str:
        """Return the moment as text."""
        return timestamp(value)


@extend_schema_field({"type": ["string", "null"], "example": "0.0123000000"})
class MoneyField(serializers.Field):
    """US dollars on their way out: a decimal string with ten decimals, null when the price is not known."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: Decimal) -> str:
        """Return the amount as text."""
        return f"{value:.10f}"

"""How values look to clients, the same in every room."""

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

#: What the cursor of a page looks like; an empty one is none.
CURSOR_PATTERN = "^[A-Za-z0-9_-]*$"


class WordField(serializers.ChoiceField):
    """One of a few words on its way in; for another one the answer names them."""

    def to_internal_value(self, data: Any) -> Any:
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


class CommaSeparatedChoiceField(serializers.ListField):
    """Some of the words that there are: with commas between them, or one by one."""

    def __init__(self, *, words: Sequence[Any], **options: Any) -> None:
        super().__init__(child=WordField(choices=words), allow_empty=False, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the words, each once.

        Raises:
            ValidationError: with those that are not known.
        """
        texts = data if isinstance(data, list) else [data]
        found = [word.strip() for text in texts for word in str(text).split(",") if word.strip()]
        return super().to_internal_value(list(dict.fromkeys(found)))


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(serializers.Field):
    """A moment on its way out."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: datetime) -> str:
        """Return the moment as text."""
        return format_rfc3339(value)


@extend_schema_field({"type": ["string", "null"], "example": "0.0123000000"})
class MoneyField(serializers.Field):
    """US dollars on their way out: a decimal string with ten decimals, null when the price is not known."""

    def __init__(self, **options: object) -> None:
        super().__init__(read_only=True, **options)  # type: ignore[arg-type]

    def to_representation(self, value: Decimal) -> str:
        """Return the amount as text."""
        return f"{value:.10f}"

"""Keyset pages: page N costs what page 1 costs, and rows that arrive meanwhile move nothing.

A view names its order: `ordering = ("-created_at", "-id")`; the last field makes it unique, and none may be NULL. An
async view calls `self.paginator.paginate_queryset(rows, request, view=self)` and serializes the page in one thread
(`common.api.views.PagedViewSet` does). The cursor holds the last row's values; it says nothing that the row does not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.fields import CURSOR_PATTERN

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class KeysetPagination(BasePagination):
    """`?limit=` and `?cursor=` in, `{"data": […], "next_cursor": …}` out."""

    def paginate_queryset(  # type: ignore[override]  # rows in memory have no keyset
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return one page of the queryset in the view's `ordering`.

        Raises:
            ValidationError: `limit` or `cursor` cannot be right.
        """
        ordering: tuple[str, ...] = view.ordering  # type: ignore[union-attr]
        limit = _limit(request.query_params)
        rows = queryset.order_by(*ordering)
        if cursor := request.query_params.get("cursor"):
            try:
                rows = rows.filter(_after(ordering, _decode(cursor, ordering, queryset.model)))
            except (ValueError, TypeError, DjangoValidationError) as error:
                raise ValidationError({"cursor": "This is no cursor of this list."}) from error
        found = list(rows[: limit + 1])
        page = found[:limit]
        self.next_cursor = _encode(ordering, page[-1]) if len(found) > limit else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page as clients get it."""
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the page's JSON Schema."""
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {"type": ["string", "null"], "description": "null: this is the last page."},
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the page's query parameters."""
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "Most rows of one page.",
                "schema": limit,
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "`next_cursor` of the page before, as it is; without it the first page.",
                "schema": {"type": "string", "pattern": CURSOR_PATTERN},
            },
        ]


def _limit(parameters: Mapping[str, str]) -> int:
    raw = parameters.get("limit", str(DEFAULT_LIMIT))
    short = len(raw) <= len(str(MAX_LIMIT))
    if not (short and raw.isascii() and raw.isdigit() and 1 <= int(raw) <= MAX_LIMIT):
        raise ValidationError({"limit": f"Expected a whole number from 1 to {MAX_LIMIT}."})
    return int(raw)


def _encode(ordering: tuple[str, ...], row: Model) -> str:
    values = [getattr(row, field.lstrip("-")) for field in ordering]
    # DjangoJSONEncoder cuts times to milliseconds; the order goes by microseconds.
    exact = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(exact, cls=DjangoJSONEncoder).encode()).decode().rstrip("=")


def _decode(cursor: str, ordering: tuple[str, ...], model: type[Model]) -> list[Any]:
    """Return the values that a cursor holds, of their fields' types.

    Raises:
        ValueError, TypeError, django ValidationError: it is no cursor of this list.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not a cursor") from error
    if not isinstance(values, list) or not all(isinstance(each, int | str) for each in values):
        raise ValueError("not a cursor")
    return [_typed(field, value, model) for field, value in zip(ordering, values, strict=True)]


def _typed(field: str, value: int | str, model: type[Model]) -> Any:
    column = model._meta.get_field(field.lstrip("-"))  # noqa: SLF001 - Django's public name for it
    if not isinstance(column, Field):
        raise TypeError(f"{field} is no column to order by")
    typed = column.to_python(value)
    without_zone = isinstance(typed, datetime) and typed.tzinfo is None
    if without_zone or (isinstance(typed, str) and "\0" in typed):
        raise ValueError("not a cursor")
    return typed


def _after(ordering: tuple[str, ...], values: list[Any]) -> Q:
    """Return the rows behind the given one: (a, b) > (x, y), written out for mixed directions."""
    condition, equal = Q(), Q()
    for field, value in zip(ordering, values, strict=True):
        name, comparison = field.lstrip("-"), "lt" if field.startswith("-") else "gt"
        condition |= equal & Q(**{f"{name}__{comparison}": value})
        equal &= Q(**{name: value})
    # Implied by the condition, and what lets the database start in the middle of an index.
    first = ordering[0]
    return Q(**{f"{first.lstrip('-')}__{'lte' if first.startswith('-') else 'gte'}": values[0]}) & condition

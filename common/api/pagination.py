"""Keyset pagination: page N costs as much as page 1, and new rows do not shift the following pages.

A view declares its order: `ordering = ("-created_at", "-id")`. The last field makes the order unique, and no field may
be NULL. An async view calls `self.paginator.paginate_queryset(rows, request, view=self)` and serializes the page in
the same thread, as `common.api.views.PagedViewSet` does. The cursor holds the ordering fields of the page's last row,
and a mark of the list and its filters: another list refuses it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
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

from common.api.serializers import CURSOR_PATTERN

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_OF_PAGES = frozenset({"cursor", "limit"})  # parameters that choose no rows


class KeysetPagination(BasePagination):
    """`?limit=` and `?cursor=` in, `{"data": […], "next_cursor": …}` out."""

    def paginate_queryset(  # type: ignore[override]  # lists have no keyset
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return one page of the queryset in the view's `ordering`.

        Raises:
            ValidationError: `limit` or `cursor` is invalid.
        """
        ordering: tuple[str, ...] = view.ordering  # type: ignore[union-attr]
        limit = self.limit_of(request)
        of = list_in(request)
        page, self.next_cursor = keyset_page(queryset, request.query_params, of=of, ordering=ordering, limit=limit)
        return page

    def limit_of(self, request: Request) -> int:
        """Return the number of rows of a page.

        Raises:
            ValidationError: `limit` is invalid.
        """
        return page_limit(request.query_params)

    def get_paginated_response(self, data: Any) -> Response:
        """Return the response that holds the page."""
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the page's JSON Schema."""
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {"type": ["string", "null"], "description": "null on the last page."},
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
                "description": "Max rows per page.",
                "schema": limit,
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "`next_cursor` of the previous page, unchanged; without it the first page.",
                "schema": {"type": "string", "pattern": CURSOR_PATTERN},
            },
        ]


def keyset_page(
    queryset: QuerySet[Any], parameters: Mapping[str, str], *, of: str, ordering: tuple[str, ...], limit: int
) -> tuple[list[Any], str | None]:
    """Return one page of a queryset after the cursor in the parameters, and the cursor of the next page.

    Args:
        queryset: All rows.
        parameters: They have the cursor.
        of: The list and its filters, as a text; a cursor of another one is refused.
        ordering: The order of the rows.
        limit: The most rows of a page.

    Raises:
        ValidationError: `cursor` is invalid.
    """
    rows = queryset.order_by(*ordering)
    fields = [_field(each, queryset.model) for each in ordering]
    if (values := page_start(parameters, fields, of=of)) is not None:
        rows = rows.filter(_after(ordering, values))
    found = list(rows[: limit + 1])
    page = found[:limit]
    last = [getattr(page[-1], field.lstrip("-")) for field in ordering] if len(found) > limit else None
    return page, None if last is None else encode_cursor(last, of=of)


def page_limit(parameters: Mapping[str, str], *, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    """Return the number of rows of a page, by the query of a request.

    Raises:
        ValidationError: `limit` is invalid.
    """
    raw = parameters.get("limit", str(default))
    short = len(raw) <= len(str(most))
    if not (short and raw.isascii() and raw.isdigit() and 1 <= int(raw) <= most):
        raise ValidationError({"limit": f"Expected a whole number from 1 to {most}."})
    return int(raw)


def list_in(request: Request) -> str:
    """Return the list that a request of the API reads: its path, and its filters in any order."""
    filters = sorted((name, values) for name, values in request.query_params.lists() if name not in _OF_PAGES)
    return json.dumps([request.path.rstrip("/"), filters])


def page_start(parameters: Mapping[str, str], fields: Sequence[Field[Any, Any]], *, of: str) -> list[Any] | None:
    """Return the values in the cursor of a request, converted to the types of `fields`; None on the first page.

    Raises:
        ValidationError: `cursor` is no cursor of the list `of` in the order of these fields.
    """
    cursor = parameters.get("cursor")
    if not cursor:
        return None
    try:
        return _decode(cursor, fields, of)
    except (ValueError, TypeError, ArithmeticError, DjangoValidationError) as error:
        raise ValidationError({"cursor": "This is not a cursor of this list with these filters."}) from error


def encode_cursor(values: Sequence[Any], *, of: str) -> str:
    """Return the cursor of a page of the list `of` whose last row has these values."""
    # DjangoJSONEncoder truncates times to milliseconds; rows are ordered by microseconds.
    exact = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return (
        base64.urlsafe_b64encode(json.dumps([_mark(of), *exact], cls=DjangoJSONEncoder).encode()).decode().rstrip("=")
    )


def _mark(of: str) -> str:
    return hashlib.blake2b(of.encode(), digest_size=6).hexdigest()


def _decode(cursor: str, fields: Sequence[Field[Any, Any]], of: str) -> list[Any]:
    """Return the values in a cursor.

    Raises:
        ValueError, TypeError, ArithmeticError, django ValidationError: the text is not a cursor of this list.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not a cursor") from error
    if not isinstance(values, list) or not all(isinstance(each, int | str) for each in values):
        raise ValueError("not a cursor")
    mark, *values = values
    if mark != _mark(of):
        raise ValueError("a cursor of another list")
    return [_typed(field, value) for field, value in zip(fields, values, strict=True)]


def _field(name: str, model: type[Model]) -> Field[Any, Any]:
    column = model._meta.get_field(name.lstrip("-"))  # noqa: SLF001 - Django's public name for it
    if not isinstance(column, Field):
        raise TypeError(f"{name} is not a column to order by")
    return column


def _typed(field: Field[Any, Any], value: int | str) -> Any:
    typed = field.to_python(value)
    without_zone = isinstance(typed, datetime) and typed.tzinfo is None
    if typed is None or without_zone or (isinstance(typed, str) and "\0" in typed):
        raise ValueError("not a cursor")
    if isinstance(typed, str):
        typed.encode()  # a lone surrogate is a ValueError
    field.run_validators(typed)  # the database holds no longer text and no larger number
    return typed


def _after(ordering: tuple[str, ...], values: list[Any]) -> Q:
    """Return the condition for rows after the given one: (a, b) > (x, y), expanded for mixed directions."""
    condition, equal = Q(), Q()
    for field, value in zip(ordering, values, strict=True):
        name, comparison = field.lstrip("-"), "lt" if field.startswith("-") else "gt"
        condition |= equal & Q(**{f"{name}__{comparison}": value})
        equal &= Q(**{name: value})
    # The condition implies this comparison; the database needs it to start in the middle of an index.
    first = ordering[0]
    return Q(**{f"{first.lstrip('-')}__{'lte' if first.startswith('-') else 'gte'}": values[0]}) & condition

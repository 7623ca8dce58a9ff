"""What admin pages share: read-only base classes, links, and how values are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from common.names import in_words

ROWS_OF_TABLE = 25
Page = TypeVar("Page")
Row = TypeVar("Row", bound=Model)
_CENT = Decimal("0.01")
_LINK = "text-primary-600 dark:text-primary-500"


class _ReadOnly:
    """Denies the permissions to add, change and delete."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):
    """A read-only page: the product alone writes these rows."""


class LongList:
    """A list of any length: its rows are not counted, and it is read page by page."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 100


class SearchById:
    """A search by whole ids, which an index finds: the first word is a UUID, and the rest is of the next field."""

    id_fields: tuple[str, ...] = ("execution_id", "step_id")
    searches_words = False  # a search for other words reads the whole table

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        """Return the rows with the ids, and that none comes twice."""
        words = search_term.strip().split(maxsplit=len(self.id_fields) - 1)
        if words and _is_uuid(words[0]):
            return queryset.filter(**dict(zip(self.id_fields, words, strict=False))), False
        if words and not self.searches_words:
            return queryset.none(), False
        found: tuple[QuerySet[Row], bool] = super().get_search_results(  # type: ignore[misc]
            request, queryset, search_term
        )
        return found


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class ReadOnlyInline(_ReadOnly, TabularInline):
    """A read-only table in pages: the product alone writes these rows."""

    extra = 0
    can_delete = False
    hide_title = True
    per_page = ROWS_OF_TABLE


def once(show: Callable[[Page, Row], str]) -> Callable[[Page, Row], str]:
    """Have a method show a row once: a page calls it several times."""

    @wraps(show)
    def kept(page: Page, row: Row) -> str:
        shown: dict[str, str] = row.__dict__.setdefault("_shown", {})
        if show.__name__ not in shown:
            shown[show.__name__] = show(page, row)
        return shown[show.__name__]

    return kept


def pretty(value: object) -> str:
    """Return a value as indented JSON, escaped for HTML."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; max-width: 70rem">{}</pre>', text)


def readable(value: Any) -> SafeString | str:
    """Return a JSON value as people read it: names with their values, lists as lists; escaped for HTML."""
    if isinstance(value, dict) and value:
        parts = ((in_words(name), readable(inner)) for name, inner in value.items())
        pair = '<dt class="font-semibold mt-2">{}</dt><dd class="ml-4">{}</dd>'
        return format_html("<dl>{}</dl>", format_html_join("", pair, parts))
    if isinstance(value, list) and value:
        item = '<li class="ml-4">{}</li>'
        return format_html(
            '<ul style="list-style: disc">{}</ul>', format_html_join("", item, ((readable(v),) for v in value))
        )
    if isinstance(value, str):
        return format_html('<div style="white-space: pre-wrap; max-width: 70rem">{}</div>', value) if value else "-"
    return "-" if value is None or value in ({}, []) else json.dumps(value)


def with_json(value: Any) -> SafeString:
    """Return a JSON value as people read it, and below it as indented JSON that can be opened."""
    folded = '{}<details class="mt-4"><summary class="cursor-pointer">JSON</summary>{}</details>'
    return format_html(folded, readable(value), pretty(value))


def link(address: str, text: object) -> SafeString:
    """Return a link."""
    return format_html('<a class="{}" href="{}">{}</a>', _LINK, address, text)


def links(pairs: Iterable[tuple[str, object]]) -> SafeString:
    """Return links, given as address and text, side by side."""
    return format_html_join(" · ", "{}", ((link(address, text),) for address, text in pairs))


def row_link(row: Model, text: object = None) -> SafeString:
    """Return a link to the admin page of a row."""
    meta = row._meta  # noqa: SLF001 - a documented API
    name = f"admin:{meta.app_label}_{meta.model_name}_change"
    return link(reverse(name, args=[row.pk]), str(row) if text is None else text)


def list_of(model: str, **filters: object) -> str:
    """Return the address of a list of the admin, such as `executions.execution`, with filters."""
    address = reverse(f"admin:{model.replace('.', '_')}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def short(value: object) -> SafeString:
    """Return the end of an id, which differs among ids of one time, with the whole id as its title."""
    text = str(value)
    return format_html(
        '<span title="{}" style="font-family: monospace; white-space: nowrap">…{}</span>', text, text[-8:]
    )


def in_line(text: object) -> SafeString:
    """Return a text that a narrow column does not break."""
    return format_html('<span style="white-space: nowrap">{}</span>', text)


def execution_link(execution_id: object) -> SafeString | str:
    """Return a link to the admin page of an execution; a dash without one."""
    if execution_id is None:
        return "-"
    return link(reverse("admin:executions_execution_change", args=[execution_id]), short(execution_id))


def money(amount: Decimal | None) -> SafeString | str:
    """Return US dollars as people read them, with all digits as the title: `$0`, `$1.20`, `$0.002400`."""
    if amount is None:
        return "unknown"
    shown = "$0" if not amount else f"${amount:.6f}" if abs(amount) < _CENT else f"${amount:,.2f}"
    return format_html('<span title="{}">{}</span>', f"{amount:.10f}", shown)


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> SafeString | str:
    """Return an HTML table; every cell is escaped."""
    if not rows:
        return "None yet."
    head = format_html_join("", '<th class="pr-4 py-1 text-left">{}</th>', ((title,) for title in titles))
    cell = '<td class="pr-4 py-1 align-top">{}</td>'
    body = format_html_join("", "<tr>{}</tr>", ((format_html_join("", cell, ((c,) for c in cells)),) for cells in rows))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


def first_rows(rows: QuerySet[Any], *, all_at: str) -> tuple[list[Any], SafeString | str]:
    """Return the first rows, and a link to the list of all if there are more."""
    found = list(rows[: ROWS_OF_TABLE + 1])
    more = len(found) > ROWS_OF_TABLE
    return found[:ROWS_OF_TABLE], format_html("<p>{}</p>", link(all_at, "Show all")) if more else ""

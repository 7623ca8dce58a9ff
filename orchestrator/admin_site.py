"""The admin's site: a query that no row can fit is told so, in every list and every search."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, wraps
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters, ModelAdmin
from django.core.exceptions import SuspiciousOperation
from django.db import DataError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite


@cache
def _checked(listing: type[Any]) -> type[Any]:
    """Return a kind of list that says so when its rows cannot be read with the values of a query."""

    class CheckedList(listing):
        """A list whose query may have any values."""

        def get_results(self, request: HttpRequest) -> None:
            """Read the rows.

            Raises:
                IncorrectLookupParameters: a value cannot be looked for, such as the year 99999999999.
            """
            try:
                super().get_results(request)
            except (DataError, OverflowError, ValueError) as error:
                raise IncorrectLookupParameters from error

    return CheckedList


class CheckedLists:
    """Answers a filter whose value the database cannot take as Django answers one that is no value."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> Any:
        """Return the class of the list."""
        return _checked(super().get_changelist(request, **options))  # type: ignore[misc]


class AdminSite(UnfoldAdminSite):
    """The site of all models, ours and those of libraries."""

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Register models, with lists that are checked."""
        base = admin_class or ModelAdmin
        checked = type(base.__name__, (CheckedLists, base), {"__module__": base.__module__})
        super().register(model_or_iterable, checked, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return a view that takes no NUL in a query: PostgreSQL cannot look for one."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            if any("\0" in text for pair in request.GET.lists() for text in (pair[0], *pair[1])):
                raise SuspiciousOperation("A query has a NUL in it.")
            response: HttpResponse = inner(request, *arguments, **options)
            return response

        return checked

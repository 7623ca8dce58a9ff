"""The admin site: lists and searches report invalid query values instead of failing."""

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
    """Return a subclass of a changelist that reports invalid query values."""

    class CheckedList(listing):
        """A changelist that reports invalid query values."""

        def get_results(self, request: HttpRequest) -> None:
            """Read the rows.

            Raises:
                IncorrectLookupParameters: the database rejects a value, such as the year 99999999999.
            """
            try:
                super().get_results(request)
            except (DataError, OverflowError, ValueError) as error:
                raise IncorrectLookupParameters from error

    return CheckedList


class CheckedListsMixin:
    """Reports filter values that the database rejects in the same way as values that Django rejects."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> Any:
        """Return the changelist class."""
        return _checked(super().get_changelist(request, **options))  # type: ignore[misc]


class AdminSite(UnfoldAdminSite):
    """The admin site of all models, including those of libraries."""

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Register models with checked changelists."""
        base = admin_class or ModelAdmin
        checked = type(base.__name__, (CheckedListsMixin, base), {"__module__": base.__module__})
        super().register(model_or_iterable, checked, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return a view that rejects NUL in queries: PostgreSQL does not accept it."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            if any("\0" in text for pair in request.GET.lists() for text in (pair[0], *pair[1])):
                raise SuspiciousOperation("The query contains NUL.")
            response: HttpResponse = inner(request, *arguments, **options)
            return response

        return checked

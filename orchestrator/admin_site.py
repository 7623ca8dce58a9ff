"""The admin site: lists and searches report invalid query values instead of failing, and writes are recorded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, wraps
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters, ModelAdmin
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from unfold.sites import UnfoldAdminSite

from access.audit import Act, Subject, record, record_each
from access.selectors import token_id
from access.services import record_logout, store_login
from console.shell import zone_of
from orchestrator.staff.menu import give_name, grouped
from orchestrator.staff.start_page import start_page

#: What adding, changing and deleting a row is called, where the API does the same.
_ACTS = {
    "knox.authtoken": (Act.TOKEN_MAKE, Act.TOKEN_CHANGE, Act.TOKEN_END),
    "access.scoperole": (Act.ROLE_GIVE, Act.ROLE_GIVE, Act.ROLE_TAKE),
}
_ADMIN_ACTS = (Act.ADMIN_ADD, Act.ADMIN_CHANGE, Act.ADMIN_DELETE)


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
                len(self.result_list)  # a list that is not counted would be read only when it is shown
            except (DataError, OverflowError, ValueError) as error:
                raise IncorrectLookupParameters from error

    return CheckedList


class CheckedListsMixin:
    """Reports filter values that the database rejects in the same way as values that Django rejects."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> Any:
        """Return the changelist class."""
        return _checked(super().get_changelist(request, **options))  # type: ignore[misc]


def _subject(row: Any) -> Subject:
    """Return what the audit log says of a row: ids alone."""
    label = row._meta.label_lower  # noqa: SLF001 - a documented API
    if label == "knox.authtoken":
        return Subject("token", token_id(row.digest))
    if label == "access.scoperole":
        return Subject("user", row.user_id, row.role, root_id=row.scope_id)
    return Subject(label, row.pk)


def _acts(model: type[Model]) -> tuple[Act, Act, Act]:
    """Return what adding, changing and deleting a row of a model is called."""
    return _ACTS.get(model._meta.label_lower, _ADMIN_ACTS)  # noqa: SLF001 - a documented API


class RecordedWritesMixin:
    """Records what is added, changed and deleted, in the same transaction."""

    def save_model(self, request: HttpRequest, *arguments: Any) -> None:
        """Store a row."""
        super().save_model(request, *arguments)  # type: ignore[misc]
        row, _, is_change = arguments
        add, edit, _ = _acts(type(row))
        record_each(edit if is_change else add, [_subject(row)])

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete a row. If another request has deleted it, nothing is recorded."""
        rows = type(obj)._default_manager.select_for_update().filter(pk=obj.pk)  # noqa: SLF001 - a documented API
        record_each(_acts(type(obj))[2], map(_subject, rows))
        super().delete_model(request, obj)  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the selected rows: those that are recorded, and no others."""
        with transaction.atomic():
            found = queryset.model._default_manager.filter(pk__in=[*queryset.values_list("pk", flat=True)])  # noqa: SLF001
            rows = list(found.select_for_update().order_by("pk"))
            record_each(_acts(queryset.model)[2], map(_subject, rows))
            super().delete_queryset(request, found.filter(pk__in=[row.pk for row in rows]))  # type: ignore[misc]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, **options: Any) -> None:
        """Store the rows of a table within the page."""
        removed = [_subject(each.instance) for each in formset.deleted_forms if each.instance.pk is not None]
        super().save_formset(request, form, formset, **options)  # type: ignore[misc]
        add, edit, delete = _acts(formset.model)
        record_each(delete, removed)
        record_each(edit, [_subject(row) for row, _ in formset.changed_objects])
        record_each(add, map(_subject, formset.new_objects))


class AdminSite(UnfoldAdminSite):
    """The admin site of all models, including those of libraries."""

    index_title = gettext_lazy("What happens now")
    index_template = "orchestrator/admin_start.html"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the start page."""
        response: TemplateResponse = super().index(request, {**start_page(request), **(extra_context or {})})
        return response

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Return the menu; with a label, the models of that app."""
        found: list[dict[str, Any]] = super().get_app_list(request, app_label)
        return grouped(found) if app_label is None else found

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Log a user in, and record it."""
        response: HttpResponse = super().login(request, extra_context)
        if request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
            store_login(request)
        return response

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Log the user out, and record it."""
        with transaction.atomic():
            if request.method == "POST":
                record_logout(request)
            response: HttpResponse = super().logout(request, extra_context)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Change the user's own password, and record it."""
        with transaction.atomic():
            response: HttpResponse = super().password_change(request, extra_context)
            if request.method == "POST" and response.status_code == 302:
                record(Act.PASSWORD_CHANGE, "user", request.user.pk)
        return response

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Register models with checked changelists, recorded writes, and names that people use."""
        for model in [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable:
            give_name(model)
        base = admin_class or ModelAdmin
        checked = type(base.__name__, (CheckedListsMixin, RecordedWritesMixin, base), {"__module__": base.__module__})
        super().register(model_or_iterable, checked, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return a view with times in the user's zone. It rejects NUL in queries, which PostgreSQL does not accept."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def checked(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            if any("\0" in text for pair in request.GET.lists() for text in (pair[0], *pair[1])):
                raise SuspiciousOperation("The query contains NUL.")
            with timezone.override(zone_of(request.user)):
                response: HttpResponse = inner(request, *arguments, **options)
                if isinstance(response, TemplateResponse):
                    response.render()
            return response

        return checked

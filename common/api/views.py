"""Paged lists over HTTP: one thread validates the query, reads the rows and serializes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adrf.viewsets import GenericViewSet
from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from common.api.base_views import ApiMixin
from common.api.serializers import StrictSerializer, checked

#: Form of an id in a path; other paths get 404.
UUID_PATTERN = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"


class NoFilters(StrictSerializer):
    """The query of a list without filters."""


class PagedViewSet(ApiMixin, GenericViewSet):
    """A view set with paged lists. `ordering` names the fields of the keyset; the last one is unique."""

    ordering: tuple[str, ...] = ("id",)

    async def page(
        self,
        request: Request,
        select: Callable[..., QuerySet[Any]],
        show: type[Serializer[Any]],
        *,
        filters: type[StrictSerializer] = NoFilters,
        ordering: tuple[str, ...] | None = None,
        prepare: Callable[[list[Any]], list[Any]] = list,
    ) -> Response:
        """Return one page of `select(**filters)`: each row of `prepare(page)`, serialized by `show`."""

        def read() -> Response:
            values = checked(filters, request.query_params)
            self.ordering = ordering or self.ordering
            rows = self.paginator.paginate_queryset(select(**values), request, view=self)
            response: Response = self.paginator.get_paginated_response(show(prepare(rows), many=True).data)
            return response

        return await sync_to_async(read)()

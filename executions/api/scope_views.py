"""Endpoint for scopes. `progress.consumer` serves their streams before Django."""

from __future__ import annotations

from functools import partial

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.serializers import TicketRequest, TicketResponse
from common.api.views import ApiView
from executions.api.openapi import problems
from executions.api.views import ticket_response
from executions.services.stream_tickets import issue_scope_ticket

_TYPE = OpenApiParameter("scope_type", OpenApiTypes.STR, OpenApiParameter.PATH)
_KEY = OpenApiParameter("scope_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="Key of the root scope.")


class ScopeTicketView(ApiView):
    """Tickets for the stream of a scope."""

    serializer_class = TicketResponse

    @extend_schema(
        tags=["scopes"],
        parameters=[_TYPE, _KEY],
        request=TicketRequest,
        responses={201: TicketResponse, **problems(400, 401, 403, 404, 413, 415, 422)},
    )
    async def post(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Issue a ticket for the stream of a root scope, for clients that cannot send headers."""
        return await ticket_response(request, partial(issue_scope_ticket, scope_type=scope_type, scope_key=scope_id))

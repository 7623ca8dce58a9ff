"""Endpoints for executions. Each validates its request and calls one service or selector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user, require_rights
from access.idempotency import run_once
from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import NEEDED_ROLE, Action, Right, Role
from access.selectors import require_start
from access.serializers import TicketRequest, TicketResponse
from access.user import User
from common.api.pagination import encode_cursor, list_in, page_limit, page_start
from common.api.serializers import StrictSerializer, checked, represent, represent_all
from common.api.views import ONLY_VERSION, UUID_PATTERN, ApiView, PagedViewSet, in_request_thread, parse_entity_tags
from common.database.server import database_now
from common.database.walks import After
from common.errors import PreconditionFailed, VersionConflict
from executions.api.budget_serializers import BudgetRequest
from executions.api.openapi import RUNS_ONCE, problems
from executions.api.serializers import (
    AcceptanceRequest,
    ClarificationAnswers,
    EmptyRequest,
    EventFilters,
    ExecutionFilters,
    ExecutionResponse,
    RetryRequest,
    StartExecutionRequest,
)
from executions.api.step_serializers import (
    PAGE,
    EventPage,
    EventResponse,
    PromptFilters,
    PromptResponse,
    StepFilters,
    StepStatusResponse,
)
from executions.engine.domain.execution import Execution
from executions.selectors import executions as selectors
from executions.selectors.details import ExecutionDetails
from executions.selectors.lists import CURSOR, ExecutionQuery
from executions.services import acceptance, budgets
from executions.services import executions as services
from executions.services.candidates import read_candidate
from executions.services.erasure.executions import erase_execution
from executions.services.locking import check_role
from executions.services.prompts import get_prompt
from executions.services.stream_tickets import issue_execution_ticket, issue_scope_ticket

EXECUTION_ID = OpenApiParameter("execution_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_SCOPE_TYPE = OpenApiParameter("scope_type", OpenApiTypes.STR, OpenApiParameter.PATH)
_SCOPE_KEY = OpenApiParameter("scope_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="Key of the root scope.")
STEP_ID = OpenApiParameter("step_id", OpenApiTypes.STR, OpenApiParameter.PATH)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Comma-separated ETags of the execution as it was read, or `*`.",
)


def expected_versions(request: Request) -> frozenset[int] | None:
    """Return the versions in `If-Match`, None for any version: without the header, or for `*`.

    Raises:
        BadPrecondition: the header contains no entity tags.
    """
    return parse_entity_tags("If-Match", request.headers.get("If-Match", "*")).versions


async def run_command(
    use_case: Callable[..., Execution],
    request: Request,
    execution_id: str,
    *,
    form: type[StrictSerializer],
    need: Role,
    names_version: bool = False,
    **values: Any,
) -> Response:
    """Run a command on an execution, and respond with the execution after it. A POST runs once per key.

    `need` is the role that the command requires. It is checked again before a stored response is sent again.

    `form` validates the body; the command gets its values and `values`. A wrong version is answered with 412 if the
    client has sent the expected version, in `If-Match` or in its body (`names_version`). Otherwise it is answered with
    409.
    """
    expected, user = expected_versions(request), authenticated_user(request)

    def act(body: Mapping[str, Any]) -> Response:
        asked = {"execution_id": UUID(execution_id), "expected_versions": expected, **values, **body}
        try:
            execution = use_case(user=user, now=database_now(), **asked)
        except VersionConflict as error:
            if expected is None and not names_version:
                raise
            raise PreconditionFailed from error
        return execution_response(selectors.stored_details(execution, user=request.user))

    def do() -> Response:
        run = partial(act, checked(form, request.data))
        if request.method != "POST":
            return run()
        return run_once(request, run, recheck=lambda _: check_role(user, UUID(execution_id), need))

    return await in_request_thread(do)()


def execution_response(details: ExecutionDetails, status: int = 200, location: str | None = None) -> Response:
    """Return the response for an execution, with its version as ETag."""
    headers = {"ETag": f'"{details.execution.version}"'}
    if location is not None:
        headers["Location"] = location
    return Response(represent(ExecutionResponse, details), status=status, headers=headers)


async def ticket_response(request: Request, issue: Callable[..., tuple[str, datetime]]) -> Response:
    """Issue a ticket and return the response."""

    def do() -> Response:
        ticket, expires_at = issue(
            user=authenticated_user(request),
            token=request.auth,
            session_key=request.session.session_key,
            now=database_now(),
            **checked(TicketRequest, request.data),
        )
        body = represent(TicketResponse, {"ticket": ticket, "expires_at": expires_at})
        return Response(body, status=201, headers={"Cache-Control": "no-store"})

    return await in_request_thread(do)()


def _change_budget(
    *, user: User, execution_id: UUID, now: datetime, expected_versions: frozenset[int] | None, **limits: Any
) -> Execution:
    return budgets.change_budget(
        user=user, execution_id=execution_id, now=now, expected_versions=expected_versions, limits=limits
    )


@extend_schema(tags=["executions"])
class ExecutionViewSet(PagedViewSet):
    """Executions of workflows."""

    on_loop = frozenset({"prompt"})  # prompts are built as a worker does it
    required_rights = {
        "create": Right.OPERATE,
        "list": Right.READ,
        "retrieve": Right.READ,
        "steps": Right.READ,
        "prompt": Right.READ,
        "events": Right.READ,
        "stream_tickets": Right.READ,
        "clarification": Right.ANSWER,
        "acceptance": Right.ANSWER,
        "budget": Right.OPERATE,
        "cancel": Right.OPERATE,
        "retry": Right.OPERATE,
        "destroy": Right.OPERATE,
    }

    queried = frozenset({"list", "steps", "prompt", "events"})
    serializer_class = ExecutionResponse
    lookup_url_kwarg = "execution_id"
    lookup_value_regex = UUID_PATTERN

    @extend_schema(
        request=StartExecutionRequest,
        parameters=RUNS_ONCE,
        responses={201: ExecutionResponse, **problems(400, 401, 402, 403, 404, 409, 410, 413, 415, 422)},
    )
    async def create(self, request: Request) -> Response:
        """Start a workflow. It runs in the background; follow its stream, or read it again later.

        With an `Idempotency-Key` it starts once, however often the request is sent. If you received no response, send
        the request with the same key again.
        """

        def start(values: Mapping[str, Any]) -> Response:
            execution = services.start_execution(user=authenticated_user(request), now=database_now(), **values)
            location = reverse("execution-detail", kwargs={"execution_id": execution.id})
            return execution_response(selectors.stored_details(execution, user=request.user), 201, location)

        def recheck(started: Mapping[str, str]) -> None:
            require_start(request.user, scope_type=started["scope_type"], scope_key=started["scope_id"])

        def answer() -> Response:
            values = checked(StartExecutionRequest, request.data)
            if (source := values.pop("definition", None)) is not None:
                require_rights(request.user, Right.AUTHOR)
                values["candidate"] = read_candidate(authenticated_user(request), source)
            return run_once(request, partial(start, values), recheck=recheck)

        return await in_request_thread(answer)()

    @extend_schema(parameters=[ExecutionFilters], responses={200: ExecutionResponse(many=True), **problems(401, 422)})
    async def list(self, request: Request) -> Response:
        """List executions, newest first."""

        def read() -> Response:
            query = ExecutionQuery(**checked(ExecutionFilters, request.query_params))
            limit, of = page_limit(request.query_params), list_in(request)
            start = page_start(request.query_params, CURSOR, of=of)
            after = None if start is None else After(*start)
            page = selectors.newest_executions(user=request.user, query=query, limit=limit, after=after)
            found = selectors.with_details(page.executions, user=request.user)
            cursor = None if page.next is None else encode_cursor(page.next, of=of)
            return Response({"data": represent_all(ExecutionResponse, found), "next_cursor": cursor})

        return await in_request_thread(read)()

    @extend_schema(
        parameters=[EXECUTION_ID, IF_NONE_MATCH],
        responses={200: ExecutionResponse, **NOT_MODIFIED, **problems(400, 401, 404)},
    )
    async def retrieve(self, request: Request, execution_id: str) -> Response:
        """Get an execution: its status, what it waits for, its progress and its cost so far."""

        def read() -> Response:
            return execution_response(selectors.details(user=request.user, execution_id=UUID(execution_id)))

        return await in_request_thread(read)()

    @extend_schema(parameters=[EXECUTION_ID, IF_MATCH], responses={204: None, **problems(400, 401, 403, 404, 409, 412)})
    async def destroy(self, request: Request, execution_id: str) -> Response:
        """Erase what people and models wrote in an execution that has ended, with the documents that it made."""
        expected, user = expected_versions(request), authenticated_user(request)

        def erase() -> Response:
            try:
                erase_execution(
                    user=user, execution_id=UUID(execution_id), expected_versions=expected, now=database_now()
                )
            except VersionConflict as error:
                raise PreconditionFailed from error
            return Response(status=204)

        return await in_request_thread(erase)()

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, StepFilters, *PAGE],
        responses={200: StepStatusResponse(many=True), **problems(401, 404, 422)},
    )
    @action(detail=True)
    async def steps(self, request: Request, execution_id: str) -> Response:
        """List an execution's steps in the order of the definition, with their documents and questions."""
        select = partial(selectors.steps, user=request.user, execution_id=UUID(execution_id))
        return await self.page(
            request,
            select,
            StepStatusResponse,
            filters=StepFilters,
            ordering=("position", "item_order", "id"),
            prepare=partial(selectors.step_details, user=request.user),
        )

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, STEP_ID, PromptFilters, IF_NONE_MATCH],
        responses={200: PromptResponse, **NOT_MODIFIED, **problems(400, 401, 404, 410, 422)},
    )
    @action(detail=True, url_path=r"steps/(?P<step_id>[^/]+)/prompt")
    async def prompt(self, request: Request, execution_id: str, step_id: str) -> Response:
        """Get the prompt of a step's newest call, or of another call."""
        selection = dict.fromkeys(("attempt", "kind", "ordinal")) | checked(PromptFilters, request.query_params)
        prompt = await get_prompt(user=request.user, execution_id=UUID(execution_id), step_id=step_id, **selection)
        return Response(represent(PromptResponse, prompt), headers={"ETag": ONLY_VERSION})

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, EventFilters, *PAGE], responses={200: EventPage, **problems(401, 404, 422)}
    )
    @action(detail=True)
    async def events(self, request: Request, execution_id: str) -> Response:
        """List an execution's events, oldest first, as its stream sends them."""
        select = partial(selectors.events, user=request.user, execution_id=UUID(execution_id))
        page = await self.page(request, select, EventResponse, filters=EventFilters, ordering=("sequence",))
        log = await in_request_thread(selectors.log_of)(user=request.user, execution_id=UUID(execution_id))
        page.data["oldest"] = log.oldest
        return page

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID],
        request=TicketRequest,
        responses={201: TicketResponse, **problems(400, 401, 403, 404, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"], url_path="stream-tickets")
    async def stream_tickets(self, request: Request, execution_id: str) -> Response:
        """Issue a ticket for this execution's stream, for clients that cannot send headers."""
        return await ticket_response(request, partial(issue_execution_ticket, execution_id=UUID(execution_id)))

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, STEP_ID, IF_MATCH, *RUNS_ONCE],
        request=ClarificationAnswers,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"], url_path=r"steps/(?P<step_id>[^/]+)/clarification")
    async def clarification(self, request: Request, execution_id: str, step_id: str) -> Response:
        """Answer a step's questions and continue the execution. If an answer is invalid, the questions stay open."""
        answer = services.submit_clarification
        form = ClarificationAnswers
        return await run_command(
            answer, request, execution_id, form=form, need=NEEDED_ROLE[Action.ANSWER], step_id=step_id
        )

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, STEP_ID, IF_MATCH, *RUNS_ONCE],
        request=AcceptanceRequest,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"], url_path=r"steps/(?P<step_id>[^/]+)/acceptance")
    async def acceptance(self, request: Request, execution_id: str, step_id: str) -> Response:
        """Accept or reject a waiting document, or request changes; name the version that you read.

        You can accept with changes: your version is stored and accepted at once. You can request changes at passages,
        and have everything else stay as it is. A *proposed* version was made while a person edited the document:
        accepting makes it the newest version, rejecting keeps the person's version.
        """
        decide = acceptance.decide_acceptance
        return await run_command(
            decide,
            request,
            execution_id,
            form=AcceptanceRequest,
            need=NEEDED_ROLE[Action.DECIDE],
            names_version=True,
            step_id=step_id,
        )

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, IF_MATCH],
        request=BudgetRequest,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 412, 413, 415, 422)},
    )
    @action(detail=True, methods=["patch"])
    async def budget(self, request: Request, execution_id: str) -> Response:
        """Change budget limits; null removes one, others stay. An execution that was blocked by a limit continues."""
        return await run_command(
            _change_budget, request, execution_id, form=BudgetRequest, need=NEEDED_ROLE[Action.BUDGET]
        )

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, IF_MATCH, *RUNS_ONCE],
        request=None,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"])
    async def cancel(self, request: Request, execution_id: str) -> Response:
        """Cancel an execution and the current model call.

        Repeating it is fine; if it ended otherwise, this is a conflict.
        """
        return await run_command(
            services.cancel_execution, request, execution_id, form=EmptyRequest, need=NEEDED_ROLE[Action.CANCEL]
        )

    @extend_schema(  # type: ignore[type-var]
        parameters=[EXECUTION_ID, IF_MATCH, *RUNS_ONCE],
        request=RetryRequest,
        responses={200: ExecutionResponse, **problems(400, 401, 403, 404, 409, 410, 412, 413, 415, 422)},
    )
    @action(detail=True, methods=["post"])
    async def retry(self, request: Request, execution_id: str) -> Response:
        """Continue a failed or cancelled execution. Completed steps keep their documents and are not paid again."""
        return await run_command(
            services.retry_execution, request, execution_id, form=RetryRequest, need=NEEDED_ROLE[Action.RETRY]
        )


class ScopeTicketView(ApiView):
    """Tickets for the stream of a scope."""

    required_rights = {"post": Right.READ}

    serializer_class = TicketResponse

    @extend_schema(
        tags=["scopes"],
        parameters=[_SCOPE_TYPE, _SCOPE_KEY],
        request=TicketRequest,
        responses={201: TicketResponse, **problems(400, 401, 403, 404, 413, 415, 422)},
    )
    async def post(self, request: Request, scope_type: str, scope_id: str) -> Response:
        """Issue a ticket for the stream of a root scope, for clients that cannot send headers."""
        return await ticket_response(request, partial(issue_scope_ticket, scope_type=scope_type, scope_key=scope_id))

"""What is erased between the moment of a read and the moment of its use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from access.permissions import Role
from common.errors import Erased
from documents.models import DocumentVersion
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall
from executions.engine.domain.execution import Document
from executions.engine.prompting.replies import SUBMIT_DOCUMENT
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.models import Execution, ExecutionEvent
from executions.persistence.repositories import PostgresDocumentRepository
from executions.selectors import exports
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.integration.api.checks import grant
from tests.integration.erasure.dump import lines_with
from tests.integration.erasure.story import MARKER, SCOPE, run
from tests.support.two_connections import elsewhere
from workflows import repository as workflows

pytestmark = [pytest.mark.django_db(transaction=True)]


class ErasedOnceRead(PostgresDocumentRepository):
    """The documents of the database, of which something is erased as soon as the first one was read."""

    def __init__(self, erase: Callable[[], None]) -> None:
        self._erase = erase
        self.is_erased = False

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        found = await super().get_by_scope_type(scope_id, document_type)
        if found is not None and not self.is_erased:
            self.is_erased = True
            await in_thread(lambda: elsewhere(self._erase))
        return found


def made(words: str) -> Callable[[ModelRequest], Any]:
    async def reply(request: ModelRequest) -> ModelReply:
        arguments: Any = {"title": f"{words} {request.step_id}", "points": [words]}
        return ModelReply(provider="a", model="b", tool_calls=(ToolCall(name=SUBMIT_DOCUMENT, arguments=arguments),))

    return reply


def start(caller: Caller, **more: Any) -> str:
    body = {"workflow_id": "report", **SCOPE, "input": "A brief.", **more}
    started: str = caller.post("/executions/", body).json()["execution_id"]
    return started


async def test_a_document_that_is_erased_while_an_execution_takes_it_over_is_made_again() -> None:
    def prepare() -> tuple[Caller, str]:
        bob = make_caller("bob")
        reports.publish()
        return bob, start(bob)

    bob, first = await in_thread(prepare)
    assert (await run(first, ScriptedModelClient(made(MARKER)))).status == "completed"
    second = await in_thread(lambda: start(bob, reuse="current"))

    def erase() -> None:
        assert bob.delete(f"/executions/{first}").status_code == 204

    ports = build_ports()
    erasing = ErasedOnceRead(erase)
    repositories = replace(ports.repositories, documents=erasing)
    ports = replace(ports, models=ScriptedModelClient(made("Anew")), repositories=repositories)
    left = await ExecutionRunner(ports, execution_id=UUID(second), worker="tests").run()
    assert erasing.is_erased
    assert left.status == "completed", left.failure

    def check() -> None:
        assert not lines_with(MARKER)
        assert not ExecutionEvent.objects.filter(event_type="step_reused").exists()
        pins = DocumentVersion.objects.filter(execution_id=second, erased_at=None)
        assert pins.count() == 2

    await in_thread(check)


def test_an_export_that_waited_for_its_turn_tells_that_all_was_erased(ada: Caller, eve: Caller, report: int) -> None:
    finished = reports.finish(reports.start(ada.user))
    grant(eve.user, "alpha", Role.OWNER)

    def read() -> tuple[Any, Any]:
        row = Execution.objects.select_related("workflow_version", "scope").get(id=finished.id)
        definition = workflows.get_definition(row.workflow_id, row.workflow_version.version)
        begun = exports._Read(row, definition, list(row.steps.order_by("position")))
        return begun, exports._sizes(begun, eve.user)

    whole = read()
    summary = DocumentVersion.objects.get(document__type="summary")
    assert (
        ada.put(f"/documents/{summary.document_id}", {"content": {"title": "Mine."}}, If_Match="*").status_code == 200
    )
    assert len(exports._rows(*whole)) == 2
    assert eve.delete(f"/executions/{finished.id}").status_code == 204
    with pytest.raises(Erased):
        exports._rows(*whole)

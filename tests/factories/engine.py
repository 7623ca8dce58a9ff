"""The engine in memory: a workflow, an execution, and a model with scripted replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.calls import FinishReason, ModelReply, ModelRequest, ToolCall, Usage
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Brief, Execution, ScopeRef
from executions.engine.domain.states import Reuse
from executions.engine.ports import Ports, Transition
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory import (
    InMemoryDefinitions,
    InMemoryDocumentRepository,
    InMemoryJournal,
    InMemoryLedger,
    in_memory_ports,
)
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import acceptance, clarification, core
from executions.engine.transitions import retry as reopening
from executions.engine.transitions.planner import new_execution
from tests.support.waiting import HANG_SECONDS
from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.parser import parse_definition

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "points"],
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "points": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    },
}


def definition(*steps: Mapping[str, Any], **more: Any) -> WorkflowDefinition:
    """Return a workflow of the given steps; each makes the document of its own name."""
    return parse_definition(
        {
            "id": "report",
            "name": "Report",
            "description": "Makes reports.",
            "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
            "steps": [
                {
                    "name": str(step["id"]).title(),
                    "role": "writer",
                    "task": f"Write {step['id']}.",
                    "produces": step["id"],
                    "output_schema": SCHEMA,
                    **step,
                }
                for step in steps
            ],
            **more,
        }
    )


LINE = definition({"id": "one"}, {"id": "two", "inputs": ["one"]})
FORK = definition({"id": "left"}, {"id": "right"}, {"id": "join", "inputs": ["left", "right"]})
ASKING = definition({"id": "one", "clarification": {"max_rounds": 1}}, {"id": "two", "inputs": ["one"]})


def reply(
    *calls: ToolCall, text: str = "", finish: FinishReason = FinishReason.STOP, cost: str | None = "0.01"
) -> ModelReply:
    """Return a reply that cost something."""
    return ModelReply(
        provider="scripted",
        model="standard",
        tool_calls=calls,
        text=text,
        finish_reason=finish,
        usage=Usage(input_tokens=10, output_tokens=5),
        cost_usd=None if cost is None else Decimal(cost),
    )


def document(title: str = "A title") -> ModelReply:
    """Return a reply that hands in a valid document."""
    return reply(ToolCall(name="submit_document", arguments={"title": title, "points": ["a point"]}))


def invalid() -> ModelReply:
    """Return a reply that hands in an invalid document."""
    return reply(ToolCall(name="submit_document", arguments={"title": "", "points": []}))


def question(text: str = "How many?", **more: Any) -> ModelReply:
    """Return a reply that asks."""
    return reply(ToolCall(name="ask_clarification", arguments={"questions": [{"text": text, **more}]}))


Reply = ModelReply | Exception | Callable[[ModelRequest], Awaitable[ModelReply]]


@dataclass
class World:
    """One execution and all that surrounds it. `script` holds the replies of each step, in order."""

    definition: WorkflowDefinition = LINE
    script: dict[str, list[Reply]] = field(default_factory=dict)
    ports: Ports = field(init=False)
    execution_id: UUID = field(init=False)
    scope_id: UUID = field(default_factory=uuid7)
    reuse: Reuse = Reuse.NONE

    def __post_init__(self) -> None:
        """Wire it."""
        self.ports = in_memory_ports(self._reply, [self.definition])
        self.execution_id = uuid7()

    async def _reply(self, request: ModelRequest) -> ModelReply:
        written = self.script.setdefault(request.step_id, [])
        following = written.pop(0) if written else document(f"Title of {request.step_id}")
        if isinstance(following, Exception):
            raise following
        return following if isinstance(following, ModelReply) else await following(request)

    async def start(self, brief: Brief | None = "The brief.") -> World:
        """Accept the execution."""
        execution = new_execution(
            self.definition,
            execution_id=self.execution_id,
            workflow_version=self._publish(),
            scope=ScopeRef(id=self.scope_id, type="project", key="p"),
            brief=brief,
            now=self.ports.clock.now(),
        )
        await self.journal.create(core.create(replace(execution, reuse=self.reuse)))
        return self

    def _publish(self) -> int:
        """Return the version of the definition; a new one is published first."""
        assert isinstance(self.ports.definitions, InMemoryDefinitions)
        known = self.ports.definitions.definitions
        for (_, version), each in known.items():
            if each == self.definition:
                return version
        known[self.definition.id, len(known) + 1] = self.definition
        return len(known)

    async def start_again(
        self, brief: Brief | None = "The brief.", *, reuse: Reuse, definition: WorkflowDefinition | None = None
    ) -> None:
        """Accept one more execution in the same scope."""
        self.execution_id, self.reuse = uuid7(), reuse
        self.definition = definition or self.definition
        await self.start(brief)

    def runner(self, name: str = "a") -> ExecutionRunner:
        """Return a runner of the execution."""
        return ExecutionRunner(self.ports, execution_id=self.execution_id, worker=name)

    async def run(self, name: str = "a") -> Execution:
        """Run it until nothing goes on, and check what must hold at any time."""
        execution = await self.runner(name).run()
        self.check()
        return execution

    async def decide(self, decide: Callable[[Execution, core.Context], core.Change]) -> Execution:
        """Do what a person does."""
        return await self.journal.commit(Transition(execution_id=self.execution_id, fencing_token=None, decide=decide))

    async def review(
        self, verdict: AcceptanceAction, *, version: int = 1, comment: str = "", step_id: str = "one"
    ) -> Execution:
        """Decide about a step's document, as a person does."""
        pin = acceptance.waiting_document(await self.now(), step_id, version=version)
        read = await self.ports.repositories.documents.get(pin.document_id, version)
        handed = acceptance.AcceptanceContext(read=read, final=read, definition=self.definition)
        said = AcceptanceDecision(
            decision=verdict,
            document_version=version,
            comment=comment,
            decided_by="ann",
            decided_at=self.ports.clock.now(),
        )
        return await self.decide(
            lambda execution, context: acceptance.decide(execution, step_id, said, target=handed, context=context)
        )

    async def answer(self, step_id: str, answers: Mapping[str, Any]) -> Execution:
        """Answer a step's questions."""
        return await self.decide(
            lambda execution, context: clarification.answer(
                execution, step_id, answers, answered_by="ann", context=context
            )
        )

    async def retry(self, from_step: str | None = None) -> Execution:
        """Have it go on after its end."""
        left = [step.document_id for step in (await self.now()).steps.values() if reopening.was_awaiting_decision(step)]
        documents = self.ports.repositories.documents
        found = [await documents.get(each) for each in left if each is not None]
        waiting = {each.id: acceptance.WaitingDocument(title=each.title, proposed=each.proposed) for each in found}
        return await self.decide(
            lambda execution, context: reopening.retry(
                execution, from_step=from_step, requested_by="ann", waiting=waiting, context=context
            )
        )

    async def cancel(self) -> Execution:
        """Stop it."""
        return await self.decide(lambda execution, context: core.cancel(execution, context=context))

    async def now(self) -> Execution:
        """Return the execution as it is stored."""
        return await self.ports.repositories.executions.get(self.execution_id)

    @property
    def journal(self) -> InMemoryJournal:
        """The journal, with its log."""
        assert isinstance(self.ports.journal, InMemoryJournal)
        return self.ports.journal

    @property
    def ledger(self) -> InMemoryLedger:
        """The ledger, with its rows."""
        assert isinstance(self.ports.ledger, InMemoryLedger)
        return self.ports.ledger

    @property
    def documents(self) -> InMemoryDocumentRepository:
        """The documents, with their versions."""
        assert isinstance(self.ports.repositories.documents, InMemoryDocumentRepository)
        return self.ports.repositories.documents

    @property
    def asked(self) -> Sequence[ModelRequest]:
        """What the model was asked, in order."""
        assert isinstance(self.ports.models, ScriptedModelClient)
        return self.ports.models.requests

    def events(self, step_id: str | None = None) -> list[str]:
        """Return the types of the events, of one step or of all."""
        log = self.journal.log[self.execution_id]
        return [event.event_type for event in log if step_id is None or event.step_id == step_id]

    def calls(self) -> list[tuple[str, str]]:
        """Return (step, status) of every call, in order."""
        return [(key.step_id, call.status.value) for key, call in self.ledger.rows.items()]

    def check(self) -> None:
        """The log has no gaps, and no document is doubled."""
        sequences = [event.sequence for event in self.journal.log[self.execution_id]]
        assert sequences == list(range(1, len(sequences) + 1))
        for versions in self.documents.versions.values():
            assert [version.version for version in versions] == list(range(1, len(versions) + 1))


class Gate:
    """A reply that waits until it is let through."""

    def __init__(self, following: ModelReply) -> None:
        self.following = following
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def under_way(self) -> None:
        """Wait until the call is under way; one that never comes is a failure, and no hanging test."""
        async with asyncio.timeout(HANG_SECONDS):
            await self.reached.wait()

    async def __call__(self, _request: ModelRequest) -> ModelReply:
        """Say that the call is under way, and answer once the gate is open."""
        self.reached.set()
        await self.opened.wait()
        return self.following

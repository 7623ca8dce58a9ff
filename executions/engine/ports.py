"""What the engine needs from outside. `in_memory.py` has each of them in dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from executions.engine.domain.calls import Call, CallKey, ModelReply, ModelRequest
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.retries import RandomSource
from executions.engine.transitions.core import Decide
from workflows.definitions.definition import WorkflowDefinition

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One thing to be stored, whole or not at all.

    `decide` is pure and is given the execution as it is when the transition is stored, so that transitions of parallel
    steps, a cancel and an answer never overwrite each other: each decides on what the others left. It may be called
    more than once: what was decided on an execution that somebody else has changed meanwhile is not stored.
    """

    execution_id: UUID
    fencing_token: int | None  # the runner's fence; None for what people do
    claimed_by: str | None = None  # its worker; tokens begin again where the database has lost a claim
    seen: int = 0  # the newest version that the runner has met: a row with an older one has lost what it confirmed
    decide: Decide
    calls: tuple[Call, ...] = ()  # ledger rows to settle (known key) or to announce (new key)
    document: Document | None = None  # its id and version are assigned as it is stored


def by_runner(
    worker: str | None,
    seen: Execution,
    decide: Decide,
    *,
    calls: tuple[Call, ...] = (),
    document: Document | None = None,
) -> Transition:
    """Return what a runner stores of an execution, fenced by the execution as the runner has seen it last."""
    return Transition(
        execution_id=seen.id,
        fencing_token=seen.fencing_token,
        claimed_by=worker,
        seen=seen.version,
        decide=decide,
        calls=calls,
        document=document,
    )


def is_superseded(transition: Transition, current: Execution) -> bool:
    """Return whether a transition's runner may not go on with an execution as it is now.

    Another runner has taken over; or the database has lost what it had confirmed, as after a failover, so that the
    execution is older than the runner knows it.
    """
    if transition.fencing_token is None:
        return False
    if transition.claimed_by is not None and current.claimed_by not in {None, transition.claimed_by}:
        return True
    return transition.fencing_token != current.fencing_token or transition.seen > current.version


class Journal(Protocol):
    """The engine's one way to write."""

    async def commit(self, transition: Transition) -> Execution:
        """Store all of `transition` or nothing, and return the execution as it is now.

        Raises:
            NotFound: there is no such execution.
            StaleFencingToken: another worker has claimed the execution, or the row is older than `seen`.
            EngineError: whatever `decide` raises; nothing is stored then.
        """


class Ledger(Protocol):
    """The record of every paid call."""

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""

    async def settle(self, call: Call) -> None:
        """Keep what became of a call apart from any decision (a late reply, a failed try).

        A row that is already `committed` stays as it is.
        """


class ExecutionRepository(Protocol):
    """Executions, read and stored whole."""

    async def save(self, execution: Execution) -> Execution:
        """Insert it (version 1), or replace version `execution.version - 1` of it.

        Raises:
            VersionConflict: the stored one has another version.
        """

    async def get(self, execution_id: UUID) -> Execution:
        """Return it.

        Raises:
            NotFound: there is none.
        """

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""

    async def list_active(self) -> list[Execution]:
        """Return those that are pending, running or waiting, oldest first."""


class DocumentRepository(Protocol):
    """Documents: one per scope and type, with all their versions."""

    async def save(self, document: Document) -> Document:
        """Store it as the next version: `document.version` must be the head's version + 1 (1 for a new one).

        The id of a new document is kept; that of a known (scope, type) is the head's.

        Raises:
            VersionConflict: the head has another version.
        """

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, the head by default.

        Raises:
            NotFound: there is none.
        """

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the head of the scope's document of this type, None when there is none."""

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the heads of all documents of the scope, by type."""


class Definitions(Protocol):
    """Published workflow versions."""

    async def get(self, workflow_id: str, version: int) -> WorkflowDefinition:
        """Return the definition.

        Raises:
            NotFound: there is none.
        """


class RateLimitPermit(Protocol):
    """The leave to send one request."""

    def used(self, tokens: int) -> None:
        """Say how many tokens it has used, in place of what was taken for it."""


class ModelClient(Protocol):
    """Language models, by alias or `provider:model`."""

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the `provider:model` that an alias stands for (itself when it is one already).

        Those after the first are asked, in this order, when the ones before them cannot do it.
        """

    def knows(self, model: str) -> bool:
        """Return whether there is a provider for a `provider:model`; whether it can be asked shows later."""

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return what asking may cost at most, in US dollars; None when the model has no known price."""

    def permit(self, request: ModelRequest) -> AbstractAsyncContextManager[RateLimitPermit]:
        """Wait until the request may be sent, and keep its place while it is under way.

        Raises:
            RateLimited: others come first, for longer than it waits.
        """

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Ask the model once, without any retry; `on_text` is called with each piece of text as the model writes it.

        Raises:
            ModelError: it could not be asked, or did not answer in time.
        """


class Draft(Protocol):
    """What a model writes in one call. Nothing rests on it: it is for people who watch."""

    def add(self, text: str) -> None:
        """Note what comes next. Never waits and never fails."""

    def end(self) -> None:
        """Note that the call is over: what was written is worth nothing any more."""


class Drafts(Protocol):
    """Where people can watch models write."""

    def begin(self, call: CallKey) -> Draft:
        """Return the draft of a call, nothing of it written."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return once so much time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """The pair that `create_repositories()` makes, in memory or on PostgreSQL."""

    documents: DocumentRepository
    executions: ExecutionRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a runner is given."""

    repositories: Repositories
    journal: Journal
    ledger: Ledger
    definitions: Definitions
    models: ModelClient
    drafts: Drafts
    clock: Clock
    chance: RandomSource
    max_recoveries: int = 5  # in a row without a step that moved; one more fails the execution
    park_after_seconds: float = 5.0  # a longer wait for a provider is not slept: the step is parked
    patience_seconds: float = 300.0  # with a provider that cannot answer for now, where a step does not say

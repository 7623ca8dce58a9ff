"""The ports of the engine: everything that it needs from outside. `testing/in_memory.py` implements them in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from executions.engine.domain.brief import BriefFile
from executions.engine.domain.calls import Call, CallKey, ModelReply, ModelRequest, Reading
from executions.engine.domain.execution import Document, Execution, StepOutcome
from executions.engine.domain.retries import RandomSource
from executions.engine.transitions.core import Decide
from workflows.definitions.definition import WorkflowDefinition

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One unit to be stored completely or not at all.

    `decide` is pure. It gets the execution as it is when the transition is stored. So transitions of parallel steps, a
    cancellation and an answer never overwrite each other: each decides on the result of the earlier ones. `decide` may
    be called more than once: a decision on a version that has changed meanwhile is not stored.
    """

    execution_id: UUID
    fencing_token: int | None  # fencing token of the worker; None for commands by people
    claimed_by: str | None = None  # name of the worker; tokens can repeat if the database has lost a claim
    seen: int = 0  # newest version that the worker has seen; a row with an older one has lost confirmed writes
    decide: Decide
    calls: tuple[Call, ...] = ()  # ledger rows to complete (known key) or to record (new key)
    document: Document | None = None  # its id and version are assigned when it is stored
    may_start: tuple[tuple[str, UUID], ...] = ()  # steps that `decide` may start beside `calls`, with their scopes


def by_runner(
    worker: str | None,
    seen: Execution,
    decide: Decide,
    *,
    calls: tuple[Call, ...] = (),
    document: Document | None = None,
    may_start: tuple[tuple[str, UUID], ...] = (),
) -> Transition:
    """Return a transition of a worker, fenced by the execution as the worker has last seen it."""
    return Transition(
        execution_id=seen.id,
        fencing_token=seen.fencing_token,
        claimed_by=worker,
        seen=seen.version,
        decide=decide,
        calls=calls,
        document=document,
        may_start=may_start,
    )


def is_superseded(transition: Transition, current: Execution) -> bool:
    """Return whether the transition's worker must not continue with the execution as it is now.

    Either another worker has claimed it, or the database has lost confirmed writes, as after a failover: then the row
    is older than the version that the worker has seen.
    """
    if transition.fencing_token is None:
        return False
    if transition.claimed_by is not None and current.claimed_by not in {None, transition.claimed_by}:
        return True
    return transition.fencing_token != current.fencing_token or transition.seen > current.version


class Journal(Protocol):
    """The only port through which the engine writes."""

    async def commit(self, transition: Transition) -> Execution:
        """Store all of the transition or nothing, and return the execution as it is then.

        Raises:
            NotFound: there is no such execution.
            StaleFencingToken: another worker has claimed the execution, or the row is older than `seen`.
            DomainError: any error of `decide`; then nothing is stored.
        """


class Ledger(Protocol):
    """The record of every paid call."""

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""

    async def settle(self, call: Call) -> None:
        """Store the outcome of a call without a transition (a late reply, a failed try).

        A row that is already `committed` does not change.
        """


class ExecutionRepository(Protocol):
    """Executions, read and stored with all their steps."""

    async def save(self, execution: Execution) -> Execution:
        """Insert the execution (version 1), or replace its version `execution.version - 1`.

        Raises:
            VersionConflict: the stored execution has another version.
        """

    async def get(self, execution_id: UUID) -> Execution:
        """Return the execution.

        Raises:
            NotFound: there is no such execution.
        """

    async def step_outcome(self, execution_id: UUID, step_id: str) -> StepOutcome | None:
        """Return what became of the document of a step, None if there is no such step."""

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""

    async def list_active(self) -> list[Execution]:
        """Return the executions that are pending, running or waiting, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVersion:
    """A document version that a step has made."""

    version: int
    execution_id: UUID
    step_id: str


class DocumentRepository(Protocol):
    """Documents: one per scope and type, with all their versions."""

    async def save(self, document: Document) -> Document:
        """Store a person's version as the next one: `document.version` must be the highest version + 1.

        A new document keeps its id. A known (scope, type) keeps the id of the stored document.

        Raises:
            VersionConflict: the highest stored version is another one.
        """

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, by default that of the head.

        Raises:
            NotFound: there is no such version.
        """

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the head's version of the scope's document of this type, None if there is none."""

    async def last_made(self, document_id: UUID, version: int) -> MadeVersion | None:
        """Return the newest version up to this one that a step has made and that was not only proposed, else None."""

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the head's version of each document of the scope, by type."""


class FileRepository(Protocol):
    """Uploaded files that executions use."""

    async def get(self, file_ids: Sequence[UUID], *, scope_id: UUID) -> list[BriefFile]:
        """Return the files that are used in this root scope, in the order of the ids; other ids are left out."""


class Definitions(Protocol):
    """Published workflow versions."""

    async def get(self, workflow_id: str, version: int) -> WorkflowDefinition:
        """Return the definition.

        Raises:
            NotFound: there is no such version.
        """


class RateLimitPermit(Protocol):
    """The permission to send one request."""

    def used(self, tokens: int) -> None:
        """Report the number of tokens that were used, which replaces the reservation."""


class ModelClient(Protocol):
    """Language models, by alias or `provider:model`."""

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the `provider:model` of an alias, followed by its fallbacks; a `provider:model` is returned itself.

        Fallbacks are used in this order if the models before them cannot serve the request.
        """

    def knows(self, model: str) -> bool:
        """Return whether the provider of a `provider:model` is known. Whether it can be reached shows only later."""

    def reading(self, model: str) -> Reading:
        """Return which files a `provider:model` reads as they are."""

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return the maximum cost of a call in US dollars; None if the model has no known price."""

    def permit(self, request: ModelRequest) -> AbstractAsyncContextManager[RateLimitPermit]:
        """Wait for a permit to send the request, and hold it during the request.

        Raises:
            RateLimited: no permit will be free soon enough.
        """

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Call the model once, without retries; `on_text` gets each piece of text as the model writes it.

        Raises:
            ModelError: the model could not be called, or did not reply in time.
        """


class Draft(Protocol):
    """The text that a model writes in one call, for watching clients. No decision depends on it."""

    def add(self, text: str) -> None:
        """Append text. Never blocks and never fails."""

    def end(self) -> None:
        """End the draft: the call is over, and the draft is obsolete."""


class Drafts(Protocol):
    """The drafts that clients can watch while models write."""

    def begin(self, call: CallKey) -> Draft:
        """Return a new, empty draft for a call."""


class Clock(Protocol):
    """The current time."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""

    async def sleep(self, seconds: float) -> None:
        """Return after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """The repositories that `create_repositories()` makes, in memory or on PostgreSQL."""

    documents: DocumentRepository
    executions: ExecutionRepository
    files: FileRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports and settings that a worker uses to run executions."""

    repositories: Repositories
    journal: Journal
    ledger: Ledger
    definitions: Definitions
    models: ModelClient
    drafts: Drafts
    clock: Clock
    chance: RandomSource
    max_recoveries: int = 5  # claims in a row without progress of a step; one more fails the execution
    defer_after_seconds: float = 5.0  # a step is deferred for a longer wait; shorter waits block the task
    patience_seconds: float = 300.0  # default time for retries while a provider is unavailable

"""What this process remembers of executions that run here, so that the next transition need not read it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from documents import repository as documents
from executions.engine.domain.execution import Execution
from executions.engine.transitions.core import is_idle
from executions.persistence.call_ledger import CallsByStep
from executions.persistence.journal.decisions import Command, execution_of, scope_of

KNOWN_EXECUTIONS = 4096  # remembered at most, and as many scopes
MOST_STEPS = 100  # of one execution; what has more is cheaper to look at under locks than to remember
CONTENDED_SECONDS = 10.0  # that a scope is left to locks after somebody else has written documents in it

Heads = dict[str, documents.Head]  # of all documents of a scope, by type


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedExecution:
    """An execution, and all its calls as they were with that version; None: they were not looked up."""

    execution: Execution
    book: CallsByStep | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Misses:
    """What is to be looked up."""

    executions: frozenset[UUID]
    scopes: frozenset[UUID]  # whose documents are lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was looked up."""

    known: Sequence[CachedExecution]
    heads: Mapping[UUID, Heads]


class SnapshotCache:
    """Executions with their calls, and documents of their scopes. What it says may be out of date: versions tell."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, CachedExecution] = OrderedDict()
        self._heads: OrderedDict[UUID, Heads] = OrderedDict()
        self._doubted: dict[UUID, Heads] = {}  # that something was refused for, perhaps
        self._contended: dict[UUID, float] = {}  # scopes that others write documents in, until when
        self._limited: frozenset[UUID] = frozenset()  # scopes with a budget of their own

    def __len__(self) -> int:
        """Return how many executions are remembered: those that are running here."""
        return len(self._known)

    def executions(self, execution_ids: Iterable[UUID]) -> dict[UUID, Execution]:
        """Return those executions that are remembered."""
        return {each: known.execution for each in execution_ids if (known := self._known.get(each)) is not None}

    def books(self, execution_ids: Iterable[UUID]) -> dict[UUID, CallsByStep]:
        """Return the calls of those executions whose calls are all remembered."""
        found = ((each, self._known.get(each)) for each in execution_ids)
        return {each: known.book for each, known in found if known is not None and known.book is not None}

    def remember(self, execution: Execution, book: CallsByStep | None) -> None:
        """Remember an execution as it is now. What waits or has ended costs nothing."""
        self._known.pop(execution.id, None)
        if not is_idle(execution):
            self._known[execution.id] = CachedExecution(execution=execution, book=book)
        while len(self._known) > KNOWN_EXECUTIONS:
            self._known.popitem(last=False)

    def heads(self, scope_ids: Iterable[UUID]) -> dict[UUID, Heads]:
        """Return the documents of those scopes that are remembered."""
        return {each: heads for each in scope_ids if (heads := self._heads.get(each)) is not None}

    def know_limited(self, scope_ids: frozenset[UUID]) -> None:
        """Know which scopes have a budget of their own: their executions are left to locks."""
        self._limited = scope_ids

    def needs_locks(self, execution: Execution) -> bool:
        """Whether an execution is always left to locks."""
        return execution.scope.id in self._limited or len(execution.steps) > MOST_STEPS

    def knows(self, item: Command) -> bool:
        """Whether there is nothing to look up before the item is decided, or left to locks."""
        scope_id = scope_of(item)
        if scope_id is not None and self.is_contended(scope_id):
            return True
        known = self._known.get(execution_of(item))
        if known is None:
            return False
        return self.needs_locks(known.execution) or (
            known.book is not None and (scope_id is None or scope_id in self._heads)
        )

    def lacking(self, items: Sequence[Command]) -> Misses:
        """Return what is not remembered of what the items are about."""
        wanted = frozenset(map(execution_of, items))
        scopes = {each for each in map(scope_of, items) if each is not None}
        return Misses(
            executions=wanted - self.books(wanted).keys(),
            scopes=frozenset(each for each in scopes if each not in self._heads),
        )

    def put(self, found: Loaded) -> None:
        """Remember what was lacking; what has become known meanwhile is newer."""
        for each in found.known:
            known = self._known.get(each.execution.id)
            if known is None or (known.book is None and known.execution.version == each.execution.version):
                self.remember(each.execution, each.book)
        for scope_id, heads in found.heads.items():
            self._heads.setdefault(scope_id, heads)
        while len(self._heads) > KNOWN_EXECUTIONS:
            self._heads.popitem(last=False)

    def discard(self, items: Iterable[Command]) -> None:
        """Remember nothing of what the items are about."""
        for item in items:
            self._known.pop(execution_of(item), None)
            if (scope_id := scope_of(item)) is not None:
                self._heads.pop(scope_id, None)

    def clear(self) -> None:
        """Remember nothing: the database is another one than before."""
        for remembered in (self._known, self._heads, self._doubted, self._contended):
            remembered.clear()

    def invalidate(self, items: Sequence[Command]) -> None:
        """Remember nothing of what the items are about, as something of it was out of date.

        `detect_contention` is told what.
        """
        self._doubted |= self.heads(each for each in map(scope_of, items) if each is not None)
        self.discard(items)

    def detect_contention(self, heads: Mapping[documents.Key, documents.Head]) -> None:
        """See from heads as they are whether somebody else writes documents in a scope.

        There it is not tried for a while without locks: it would have to be done twice each time.
        """
        now = time.monotonic()
        for (scope_id, kind), head in heads.items():
            doubted = self._doubted.get(scope_id)
            if doubted is not None and doubted.get(kind, documents.Head()) != head:
                self._contended[scope_id] = now + CONTENDED_SECONDS
        self._doubted.clear()
        if len(self._contended) > KNOWN_EXECUTIONS:
            self._contended = {each: until for each, until in self._contended.items() if until > now}

    def is_contended(self, scope_id: UUID) -> bool:
        """Whether somebody else was seen to write documents in a scope a moment ago."""
        return self._contended.get(scope_id, 0.0) > time.monotonic()

"""The cache of what this worker has written and read last, so that the next transition needs no read."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from uuid import UUID

from documents import repository as documents
from executions.engine.domain.execution import Execution
from executions.engine.transitions.core import is_idle
from executions.persistence import call_ledger
from executions.persistence.call_ledger import LoadedCalls
from executions.persistence.journal.decisions import (
    Command,
    Heads,
    Snapshot,
    WriteSet,
    execution_of,
    scope_of,
    scopes_of,
    starting_scopes,
    unstarted_scopes,
)

MAX_EXECUTIONS = 4096  # cached at most, and as many scopes
MAX_STEPS = 100  # of one execution; above that row locks are cheaper than caching all calls
CONTENDED_SECONDS = 10.0  # for so long row locks guard a scope in which another process writes documents

_MISS = (None, None)


class SnapshotCache:
    """Executions with their calls, and heads of documents. An entry may be stale: its version shows it when used."""

    def __init__(self) -> None:
        self._executions: OrderedDict[UUID, tuple[Execution, LoadedCalls | None]] = OrderedDict()  # None: not read
        self._heads: OrderedDict[UUID, Heads] = OrderedDict()  # by scope
        self._stale: dict[UUID, Heads] = {}  # of scopes whose heads may be the reason of a conflict
        self._contended: dict[UUID, float] = {}  # scopes in which others write documents, and until when
        self._budgeted: frozenset[UUID] = frozenset()

    def __len__(self) -> int:
        """Return how many executions are cached: those that run here."""
        return len(self._executions)

    def snapshot(self, commands: Sequence[Command]) -> Snapshot:
        """Return what is cached for commands; nothing of executions and scopes that need row locks."""
        executions: dict[UUID, Execution] = {}
        calls: dict[UUID, LoadedCalls] = {}
        for execution_id in map(execution_of, commands):
            execution, of_execution = self._executions.get(execution_id, _MISS)
            if execution is not None and of_execution is not None and not self.needs_locks(execution):
                executions[execution_id], calls[execution_id] = execution, of_execution
        own = {execution.scope.id for execution in executions.values()}
        scopes = (own | scopes_of(commands) | starting_scopes(commands, executions)) & self._heads.keys()
        heads = {each: self._heads[each] for each in scopes if not self._is_contended(each)}
        return Snapshot(executions=executions, calls=calls, heads=heads, cached_heads=frozenset(heads))

    def executions(self, commands: Sequence[Command]) -> dict[UUID, Execution]:
        """Return the cached executions of commands, also those that need row locks."""
        found = (self._executions.get(execution_of(each)) for each in commands)
        return {each[0].id: each[0] for each in found if each is not None}

    def knows(self, command: Command) -> bool:
        """Return whether nothing has to be read before the command is decided, or goes to row locks."""
        scope_id = scope_of(command)
        if scope_id is not None and self._is_contended(scope_id):
            return True
        execution, calls = self._executions.get(execution_of(command), _MISS)
        if execution is None or self.needs_locks(execution):
            return execution is not None
        scopes = starting_scopes([command], {execution.id: execution}) | ({scope_id} - {None})
        return calls is not None and scopes <= self._heads.keys()

    def misses(self, commands: Sequence[Command]) -> tuple[set[UUID], set[UUID]]:
        """Return the executions, and the scopes with heads of documents, that are not cached for commands."""
        executions = {execution_of(each) for each in commands}
        cached = {each for each in executions if self._executions.get(each, _MISS)[1] is not None}
        known = self.executions(commands)
        scopes = self._scopes_of(commands)
        if not starting_scopes(commands, known) <= self._heads.keys():  # the other steps start soon, too
            scopes |= {scope_id for each in known.values() for scope_id in unstarted_scopes(each)}
        # A difference of a set and keys would go through all keys, which are thousands.
        return executions - cached, {each for each in scopes if each not in self._heads}

    def starting_heads(self, commands: Sequence[Command]) -> dict[UUID, Heads]:
        """Return the cached heads of scopes in which commands start steps."""
        scopes = starting_scopes(commands, self.executions(commands)) & self._heads.keys()
        return {each: self._heads[each] for each in scopes if not self._is_contended(each)}

    def needs_locks(self, execution: Execution) -> bool:
        """Return whether an execution is always decided under row locks."""
        return execution.scope.id in self._budgeted or len(execution.steps) > MAX_STEPS

    def set_budgeted(self, scope_ids: frozenset[UUID]) -> None:
        """Set the scopes with a monthly budget: their executions need row locks."""
        self._budgeted = scope_ids

    def put(self, execution: Execution, calls: LoadedCalls | None) -> None:
        """Cache an execution as it is now. One that waits or has ended is dropped."""
        self._executions.pop(execution.id, None)
        if not is_idle(execution):
            self._executions[execution.id] = execution, calls
        while len(self._executions) > MAX_EXECUTIONS:
            self._executions.popitem(last=False)

    def put_missing(self, read: Snapshot) -> None:
        """Cache what was read. What was cached meanwhile is newer, and stays: of a head, the highest version."""
        for execution in read.executions.values():
            cached, calls = self._executions.get(execution.id, _MISS)
            if cached is None or (calls is None and cached.version == execution.version):
                self.put(execution, read.calls.get(execution.id))
        for scope_id, heads in read.heads.items():
            self._heads[scope_id] = _newest(self._heads.get(scope_id, {}), heads)
        self._limit_heads()

    def put_stored(self, stored: WriteSet) -> None:
        """Cache what a write set has made of its snapshot, which came from here."""
        calls = stored.snapshot.calls
        for entry in stored.calls.changed():
            call_ledger.add(call_ledger.as_stored(entry), to=calls)
        for execution_id, execution in stored.executions.items():
            self.put(execution, calls[execution_id])
        self._add_documents(stored)

    def put_locked(self, stored: WriteSet) -> None:
        """Cache the heads that a transaction has read or locked, as it has left them."""
        for scope_id, heads in stored.snapshot.heads.items():
            self._heads[scope_id] = dict(heads)
        self._add_documents(stored)
        self._limit_heads()

    def _limit_heads(self) -> None:
        while len(self._heads) > MAX_EXECUTIONS:
            self._heads.popitem(last=False)

    def _add_documents(self, stored: WriteSet) -> None:
        for document in stored.documents:
            if document.scope_id in self._heads:
                heads = self._heads[document.scope_id]
                head = heads.get(document.type, documents.Head())
                heads[document.type] = head.after(document.id, document.version, proposed=document.proposed)

    def discard(self, commands: Sequence[Command]) -> None:
        """Drop what commands are about."""
        for scope_id in self._scopes_of(commands):
            self._heads.pop(scope_id, None)
        for command in commands:
            self._executions.pop(execution_of(command), None)

    def invalidate(self, commands: Sequence[Command]) -> None:
        """Drop what commands are about, after a conflict. `detect_contention` finds out which heads were stale."""
        self._stale |= {each: self._heads[each] for each in scopes_of(commands) & self._heads.keys()}
        self.discard(commands)

    def _scopes_of(self, commands: Sequence[Command]) -> set[UUID]:
        """Return the scopes on whose heads commands rest, as far as their executions are cached."""
        return scopes_of(commands) | starting_scopes(commands, self.executions(commands))

    def clear(self) -> None:
        """Drop everything: the database is another one than before."""
        for cached in (self._executions, self._heads, self._stale, self._contended):
            cached.clear()

    def detect_contention(self, locked: Mapping[UUID, Heads]) -> None:
        """Compare heads with the locked ones: another process has written documents in the scope if one differs.

        For a while only row locks are used there. Without them, most commands would be decided twice.
        """
        now = time.monotonic()
        for scope_id, heads in locked.items():
            stale = self._stale.get(scope_id, heads)
            if any(stale.get(kind, documents.Head()) != head for kind, head in heads.items()):
                self._contended[scope_id] = now + CONTENDED_SECONDS
        self._stale.clear()
        if len(self._contended) > MAX_EXECUTIONS:
            self._contended = {each: until for each, until in self._contended.items() if until > now}

    def _is_contended(self, scope_id: UUID) -> bool:
        return self._contended.get(scope_id, 0.0) > time.monotonic()


def _newest(cached: Heads, read: Heads) -> Heads:
    none = documents.Head()
    newer = {kind: head for kind, head in read.items() if head.last_version > cached.get(kind, none).last_version}
    return {**cached, **newer}

"""Live counts of inboxes: a count is read when a notification says that it may have changed, else never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field
from uuid import UUID

from access.permissions import TokenLimits
from common.database.counts import MAX_COUNT, count_text
from common.database.server import database_now
from executions.db_threads import retry_while_unavailable
from executions.progress.sse import Message, encode_counts
from executions.selectors import inbox
from executions.selectors.inbox import InboxState

PAUSE_SECONDS = 1.0  # between two reads for one client, however much changes


@dataclass(eq=False)
class Watcher:
    """A client that follows the counts of its inbox."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    roots: frozenset[UUID] | None = None  # root scopes that its counts depend on; None: all
    is_stale: bool = False  # another inbox has changed: the user may have got a role there


class InboxWatch:
    """The clients of this process that follow their inbox."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._closed = False

    def hear(self, root_ids: Collection[UUID]) -> None:
        """Let the clients with these root scopes in their inbox read their counts again; the others after a while."""
        for each in self._watchers:
            if each.roots is None or not each.roots.isdisjoint(root_ids):
                each.changed.set()
            else:
                each.is_stale = True

    def hear_all(self) -> None:
        """Let all clients read their counts again: notifications may have been lost."""
        for each in self._watchers:
            each.changed.set()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self.hear_all()

    def _is_closed(self) -> bool:
        return self._closed

    async def follow(
        self, user_id: int, *, limits: TokenLimits | None, keepalive_seconds: float
    ) -> AsyncGenerator[list[Message], None]:
        """Yield the counts of a user's inbox: now, and when they have changed.

        An empty batch means that nothing was sent for `keepalive_seconds`. A token with a scope counts there alone.
        """
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            shown: dict[str, int | str] | None = None
            while not self._is_closed():
                watcher.changed.clear()
                watcher.is_stale = False
                watcher.roots = None  # what changes while the counts are read may belong to any scope
                state = await retry_while_unavailable(inbox.state_of, user_id, database_now(), limits)
                watcher.roots = state.roots
                if (found := _shown(state)) != shown:
                    shown = found
                    yield [encode_counts(found)]
                while not self._is_closed() and not await _is_set(watcher.changed, keepalive_seconds):
                    yield []
                    if watcher.is_stale:
                        break
                if not self._is_closed():
                    await asyncio.sleep(PAUSE_SECONDS)  # further changes are read together
        finally:
            self._watchers.discard(watcher)


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return False after this time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _shown(state: InboxState) -> dict[str, int | str]:
    return {kind.value: count if count < MAX_COUNT else count_text(count) for kind, count in state.counts.items()}

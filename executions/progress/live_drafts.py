"""Live drafts: the text that models write, for clients that follow an execution.

One statement reads drafts together with the number of the last event. Only a client with exactly the events up to this
number gets these drafts, so that they are in order with the events. A client with other events gets them later or
never. No text is skipped: a client gets what the step's text has grown by since its last message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from executions.engine.domain.states import WORKING
from executions.progress.event_reader import Reader
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message, encode_delta

#: The text that a client has been sent, by step: attempt, try, and number of characters.
Sent = dict[str, tuple[int, int, int]]

_DRAFTS = """
    SELECT execution.id, execution.last_sequence, step.step_id, step.attempt,
      draft.id, draft.ordinal, draft."offset", draft.text
    FROM unnest(%(ids)s::uuid[], %(after)s::bigint[]) AS wanted (id, after)
    JOIN executions_execution AS execution ON execution.id = wanted.id
    JOIN executions_executionstep AS step ON step.execution_id = execution.id AND step.status = ANY(%(working)s)
    LEFT JOIN executions_stepdraft AS draft
      ON draft.execution_id = step.execution_id AND draft.step_id = step.step_id AND draft.attempt = step.attempt
      AND draft.id > wanted.after
    ORDER BY execution.id, draft.id
"""
_STATUSES = sorted(each.value for each in WORKING)


@dataclass(slots=True)
class DraftText:
    """The text of a step so far."""

    attempt: int
    ordinal: int = 0
    text: str = ""

    def write(self, ordinal: int, offset: int, text: str) -> bool:
        """Add a chunk; return False if an earlier chunk is missing."""
        if ordinal > self.ordinal:
            self.ordinal, self.text = ordinal, ""
        if ordinal == self.ordinal:
            if offset > len(self.text):
                return False
            self.text = self.text[:offset] + text
        return True


@dataclass(slots=True)
class DraftSnapshot:
    """The drafts of one execution when `number` was its last event."""

    number: int = 0
    read_up_to: int = 0  # id of the last chunk
    drafts: dict[str, DraftText] = field(default_factory=dict)
    #: Encoded messages since the last read, by step and offset.
    shown: dict[tuple[str, int], Message] = field(default_factory=dict)


class LiveDrafts:
    """The drafts of the followed executions, read once for all followers."""

    def __init__(self, reader: Reader, publisher: ProgressPublisher) -> None:
        self._reader = reader
        self._publisher = publisher
        self._snapshots: dict[UUID, DraftSnapshot] = {}
        self._wanted: set[UUID] = set()  # executions to be read next
        self._reading = asyncio.Lock()  # one read at a time, so that chunks are added in order

    async def load(self, execution_id: UUID, number: int) -> None:
        """Read the drafts of an execution, unless they were read at its event `number` or later.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        snapshot = self._snapshots.get(execution_id)
        if snapshot is None or snapshot.number < number:
            await self.refresh([execution_id])

    def shows(self, execution_id: UUID) -> bool:
        """Return whether the execution has draft text after its last event."""
        snapshot = self._snapshots.get(execution_id)
        return snapshot is not None and any(draft.text for draft in snapshot.drafts.values())

    def forget(self) -> None:
        """Discard all snapshots: notifications may have been lost, and the table may have been emptied."""
        self._snapshots = {}  # a running read keeps the old ones

    async def refresh(self, execution_ids: Iterable[UUID]) -> None:
        """Read new draft text of the followed executions among these, and wake their followers.

        Requests during a read are combined into the next statement.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        followed = self._publisher.followed
        if len(self._snapshots) > 2 * len(followed):
            for each in self._snapshots.keys() - followed:
                del self._snapshots[each]
        self._wanted.update(execution_ids)
        async with self._reading:
            left, self._wanted = self._wanted, set()
            try:
                wanted = [each for each in left if each in followed]
                for again in (False, True):
                    if wanted:
                        wanted = await self._read(wanted, anew=again)
                left = set()
            finally:
                self._wanted |= left  # the next refresh reads them

    async def _read(self, wanted: Collection[UUID], *, anew: bool) -> list[UUID]:
        """Add new chunks, or with `anew` read all chunks; return the executions with a missing chunk."""
        known = self._snapshots
        snapshots = {each: DraftSnapshot() if anew else known.get(each, DraftSnapshot()) for each in wanted}
        after = [snapshot.read_up_to for snapshot in snapshots.values()]
        rows = await self._reader.rows(_DRAFTS, {"ids": list(snapshots), "after": after, "working": _STATUSES})
        torn = []
        alive: dict[UUID, dict[str, DraftText]] = {each: {} for each in snapshots}
        for execution_id, found in groupby(rows, key=lambda row: row[0]):
            if not _add_chunks(snapshots[execution_id], alive[execution_id], (row[1:] for row in found)):
                torn.append(execution_id)
        for execution_id, snapshot in snapshots.items():
            snapshot.drafts = alive[execution_id]
            snapshot.shown.clear()
            known[execution_id] = snapshot
            self._publisher.nudge(execution_id)
        return torn

    def unsent(self, execution_id: UUID, number: int, sent: Sent) -> list[Message]:
        """Return the unsent text for a client with the events up to `number`; and add it to `sent`."""
        snapshot = self._snapshots.get(execution_id)
        if snapshot is None or snapshot.number != number:
            return []
        return list(self._unsent(execution_id, snapshot, sent))

    def _unsent(self, execution_id: UUID, snapshot: DraftSnapshot, sent: Sent) -> Iterator[Message]:
        for step_id, draft in snapshot.drafts.items():
            attempt, ordinal, offset = sent.get(step_id, (0, 0, 0))
            is_void = offset > 0 and attempt == draft.attempt and ordinal < draft.ordinal
            if (attempt, ordinal) != (draft.attempt, draft.ordinal):
                offset = 0
            if offset >= len(draft.text) and not is_void:
                continue
            message = snapshot.shown.get((step_id, offset))
            if message is None:
                data: dict[str, JsonValue] = {"attempt": draft.attempt, "offset": offset, "text": draft.text[offset:]}
                message = encode_delta(execution_id, step_id, after=snapshot.number, data=data)
                snapshot.shown[step_id, offset] = message
            sent[step_id] = (draft.attempt, draft.ordinal, len(draft.text))
            yield message


def _add_chunks(snapshot: DraftSnapshot, alive: dict[str, DraftText], rows: Iterable[tuple[Any, ...]]) -> bool:
    """Fill `working` with the working steps and their text so far; return False if a chunk is missing."""
    whole = True
    for last, step_id, attempt, piece_id, ordinal, offset, text in rows:
        snapshot.number = last
        known = alive.get(step_id) or snapshot.drafts.get(step_id)
        draft = alive[step_id] = known if known is not None and known.attempt == attempt else DraftText(attempt)
        if piece_id is not None:
            whole = draft.write(ordinal, offset, text) and whole
            snapshot.read_up_to = max(snapshot.read_up_to, piece_id)
    return whole

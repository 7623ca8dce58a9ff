"""What models write right now, as those who follow an execution are shown it.

Drafts are read together with the number of the last event, in one statement: a client that has exactly the events up to
that one is shown the drafts, so that they keep their place among the events. A client that is not there yet, or further
on, is shown them later, or never. Nobody misses a character: what a client gets is what its step's text has grown by
since it was shown any of it.
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

#: What a client has been shown, by step: the attempt, the try, and characters of its text.
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
        """Take in a piece; False when one before it is missing."""
        if ordinal > self.ordinal:
            self.ordinal, self.text = ordinal, ""
        if ordinal == self.ordinal:
            if offset > len(self.text):
                return False
            self.text = self.text[:offset] + text
        return True


@dataclass(slots=True)
class DraftSnapshot:
    """The drafts of one execution, as they were when `number` was its last event."""

    number: int = 0
    read_up_to: int = 0  # id of the last piece
    drafts: dict[str, DraftText] = field(default_factory=dict)
    shown: dict[tuple[str, int], Message] = field(default_factory=dict)  # since they were read, by step and offset


class LiveDrafts:
    """The drafts of the executions that are followed here, read once for all who follow."""

    def __init__(self, reader: Reader, publisher: ProgressPublisher) -> None:
        self._reader = reader
        self._publisher = publisher
        self._boards: dict[UUID, DraftSnapshot] = {}
        self._wanted: set[UUID] = set()  # executions that somebody waits to see read
        self._reading = asyncio.Lock()  # one after the other: pieces are put together in order

    async def load(self, execution_id: UUID, number: int) -> None:
        """Read the drafts of an execution, unless that was done since it had its event `number`.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        board = self._boards.get(execution_id)
        if board is None or board.number < number:
            await self.refresh([execution_id])

    def shows(self, execution_id: UUID) -> bool:
        """Whether there is text of the execution, whose place is after its last event."""
        board = self._boards.get(execution_id)
        return board is not None and any(draft.text for draft in board.drafts.values())

    def forget(self) -> None:
        """Have everything read anew: notifications may have been lost, and the table may have been emptied."""
        self._boards = {}  # whoever reads right now keeps the old ones

    async def refresh(self, execution_ids: Iterable[UUID]) -> None:
        """Read what the drafts of executions have grown by, as far as they are followed here, and show it.

        Whoever asks while others are read is served with the next statement, all together.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        followed = self._publisher.followed
        if len(self._boards) > 2 * len(followed):
            for each in self._boards.keys() - followed:
                del self._boards[each]
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
                self._wanted |= left  # the next one who asks reads them

    async def _read(self, wanted: Collection[UUID], *, anew: bool) -> list[UUID]:
        """Take in new pieces, or all of them `anew`; return the executions of which one is missing."""
        known = self._boards
        boards = {each: DraftSnapshot() if anew else known.get(each, DraftSnapshot()) for each in wanted}
        after = [board.read_up_to for board in boards.values()]
        rows = await self._reader.rows(_DRAFTS, {"ids": list(boards), "after": after, "working": _STATUSES})
        torn = []
        alive: dict[UUID, dict[str, DraftText]] = {each: {} for each in boards}
        for execution_id, found in groupby(rows, key=lambda row: row[0]):
            if not _take_in(boards[execution_id], alive[execution_id], (row[1:] for row in found)):
                torn.append(execution_id)
        for execution_id, board in boards.items():
            board.drafts = alive[execution_id]
            board.shown.clear()
            known[execution_id] = board
            self._publisher.nudge(execution_id)
        return torn

    def unsent(self, execution_id: UUID, number: int, sent: Sent) -> list[Message]:
        """Return what a client that has the events up to `number` has not been shown; note in `sent` that it is."""
        board = self._boards.get(execution_id)
        if board is None or board.number != number:
            return []
        return list(self._unsent(execution_id, board, sent))

    def _unsent(self, execution_id: UUID, board: DraftSnapshot, sent: Sent) -> Iterator[Message]:
        for step_id, draft in board.drafts.items():
            attempt, ordinal, offset = sent.get(step_id, (0, 0, 0))
            is_void = offset > 0 and attempt == draft.attempt and ordinal < draft.ordinal
            if (attempt, ordinal) != (draft.attempt, draft.ordinal):
                offset = 0
            if offset >= len(draft.text) and not is_void:
                continue
            message = board.shown.get((step_id, offset))
            if message is None:
                data: dict[str, JsonValue] = {"attempt": draft.attempt, "offset": offset, "text": draft.text[offset:]}
                message = encode_delta(execution_id, step_id, after=board.number, data=data)
                board.shown[step_id, offset] = message
            sent[step_id] = (draft.attempt, draft.ordinal, len(draft.text))
            yield message


def _take_in(board: DraftSnapshot, alive: dict[str, DraftText], rows: Iterable[tuple[Any, ...]]) -> bool:
    """Put the steps at work into `alive`, with their texts so far; False when a piece is missing."""
    whole = True
    for last, step_id, attempt, piece_id, ordinal, offset, text in rows:
        board.number = last
        known = alive.get(step_id) or board.drafts.get(step_id)
        draft = alive[step_id] = known if known is not None and known.attempt == attempt else DraftText(attempt)
        if piece_id is not None:
            whole = draft.write(ordinal, offset, text) and whole
            board.read_up_to = max(board.read_up_to, piece_id)
    return whole

"""The text that models write, while they write it, for the clients that follow the execution.

Pieces go to an unlogged table, at most ten times a second for all calls of this process in one statement; those of a
call that is over are removed. A notification says whose drafts have grown. What cannot be written is written with the
next piece, or never: no step waits for it, and none fails by it. A crash of the database empties the table; what was in
it is written once more, as one piece.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import transaction

from common.database import bulk
from executions.db_threads import in_thread
from executions.engine.domain.calls import CallKey
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.states import WORKING
from workflows.errors import storable

CHANNEL = "scriptorium_drafts"
PAUSE_SECONDS = 0.1  # between two writes
MAX_CHARACTERS = 200_000  # of one draft; the rest is in the document

logger = logging.getLogger(__name__)

Row = tuple[Any, ...]  # execution, step, attempt, ordinal

_KEY = "execution_id, step_id, attempt, ordinal"
_GIVEN = "json_to_recordset(%s::json) AS given(execution_id uuid, step_id text, attempt integer, ordinal integer"
_SAME = """draft.execution_id = given.execution_id AND draft.step_id = given.step_id
  AND draft.attempt = given.attempt AND draft.ordinal = given.ordinal"""
# Whoever reads goes by the ids: what is written over is read again. What has lost its beginning is not written.
_WRITE = f"""
INSERT INTO executions_stepdraft ({_KEY}, "offset", text)
SELECT {_KEY}, "offset", text FROM {_GIVEN}, "offset" integer, text text)
WHERE "offset" = 0 OR EXISTS (SELECT FROM executions_stepdraft AS draft WHERE {_SAME} AND draft."offset" = 0)
ON CONFLICT ({_KEY}, "offset") DO UPDATE SET id = excluded.id, text = excluded.text
RETURNING {_KEY}"""  # noqa: S608 - names of columns
_REMOVE = f"DELETE FROM executions_stepdraft AS draft USING {_GIVEN}) WHERE {_SAME}"  # noqa: S608 - names of columns
_TELL = "SELECT pg_notify(%s, string_agg(id::text, ',')) FROM unnest(%s::uuid[]) AS id"
_SWEEP = """
DELETE FROM executions_stepdraft WHERE id IN (
  SELECT id FROM executions_stepdraft AS draft WHERE NOT EXISTS (
    SELECT FROM executions_executionstep AS step
    WHERE step.execution_id = draft.execution_id AND step.step_id = draft.step_id
      AND step.attempt = draft.attempt AND step.status = ANY(%s)
  ) FOR UPDATE SKIP LOCKED
)"""  # a late worker may be removing the same in another order
_TOLD_AT_ONCE = 180  # ids in a notification, which PostgreSQL cuts off at 8,000 bytes


class DraftBuffer:
    """What a model has written in one call."""

    def __init__(self, call: CallKey, book: DraftWriter) -> None:
        self.call = call
        self.ended = False
        self.in_table = False
        self.stored = 0  # characters
        self._book = book
        self._text = ""

    def add(self, text: str) -> None:
        """Note what comes next."""
        if text and len(self._text) < MAX_CHARACTERS:
            self._text += text
            self._book.wake(self)

    def end(self) -> None:
        """Note that the call is over: what was written is worth nothing any more."""
        self.ended = True
        self._text = ""

    def mark_stored(self, text: str) -> None:
        """Note that the table has this, too."""
        self.stored += len(text)
        self.in_table = True

    def mark_lost(self) -> None:
        """Note that the table has nothing of it any more."""
        self.stored, self.in_table = 0, False

    @property
    def has_news(self) -> bool:
        """Whether there is anything to write: of a try that is not the first, also that it has begun."""
        begun_again = self.call.ordinal > 1 and not self.in_table
        return not self.ended and (begun_again or bool(self.unstored))

    @property
    def unstored(self) -> str:
        """What the table has not got yet."""
        return self._text[self.stored :]


class DraftWriter:
    """The drafts of this process. A task writes while any grows, and ends when all are over."""

    def __init__(self) -> None:
        self._open: dict[CallKey, DraftBuffer] = {}
        self._writer: asyncio.Task[None] | None = None

    def begin(self, call: CallKey) -> DraftBuffer:
        """Return the draft of a call, nothing of it written. What an earlier try has written is void from now on."""
        draft = DraftBuffer(call, self)
        if draft.has_news:
            self.wake(draft)
        return draft

    def wake(self, draft: DraftBuffer) -> None:
        """Have a draft that has grown written soon."""
        self._open[draft.call] = draft
        loop = asyncio.get_running_loop()
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_all(), name="drafts")

    async def _write_all(self) -> None:
        while self._open:
            await asyncio.sleep(PAUSE_SECONDS)
            grown = [(draft, draft.unstored) for draft in self._open.values() if draft.has_news]
            over = [draft for draft in self._open.values() if draft.ended]
            try:
                kept = await self._write(grown, [draft.call for draft in over if draft.in_table])
            except DatabaseUnavailable:
                logger.info("The drafts of %d calls cannot be written now.", len(grown))
                continue
            for draft, text in grown:
                if _row_of(draft.call) in kept:
                    draft.mark_stored(text)
                else:
                    draft.mark_lost()
            for draft in over:
                del self._open[draft.call]

    async def _write(self, grown: list[tuple[DraftBuffer, str]], over: list[CallKey]) -> Collection[Row]:
        return await in_thread(store, grown, over) if grown or over else ()


@transaction.atomic
def store(grown: Sequence[tuple[DraftBuffer, str]], over: Iterable[CallKey]) -> Collection[Row]:
    """Write what has been added to drafts, tell of it, and remove those of calls that are over.

    Returns:
        Of which calls the drafts could be written. The table has lost the beginning of the others.

    Raises:
        django.db.Error: as Django raises it.
    """
    rows = [{**_named(draft.call), "offset": draft.stored, "text": storable(text)} for draft, text in grown]
    kept: set[Row] = set()
    if rows:
        kept.update(bulk.execute(_WRITE, [json.dumps(rows)]))
    if removed := [_named(call) for call in over]:
        bulk.execute_later(_REMOVE, [json.dumps(removed)])
    told = sorted({draft.call.execution_id for draft, _ in grown})
    for start in range(0, len(told), _TOLD_AT_ONCE):
        bulk.execute_later(_TELL, [CHANNEL, told[start : start + _TOLD_AT_ONCE]])
    return kept


def remove_abandoned() -> None:
    """Remove the drafts of steps that no worker runs: their workers had no time for it.

    Raises:
        django.db.Error: as Django raises it.
    """
    bulk.execute(_SWEEP, [[each.value for each in WORKING]])


def _row_of(call: CallKey) -> Row:
    return call.execution_id, call.step_id, call.attempt, call.ordinal


def _named(call: CallKey) -> dict[str, str]:
    return {
        "execution_id": str(call.execution_id),
        "step_id": call.step_id,
        "attempt": str(call.attempt),
        "ordinal": str(call.ordinal),
    }

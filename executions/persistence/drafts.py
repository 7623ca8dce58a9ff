"""Drafts: the text that models write, stored while they write it, only for watching clients.

One statement writes the new text of all calls of this process, at most ten times a second, into an unlogged table.
Drafts of ended calls are deleted. A notification names the executions whose drafts have grown. If a write fails, its
text is written with the next one or never: no step waits for it or fails because of it. After a crash PostgreSQL
empties the unlogged table, and the worker writes the current text again as one chunk.
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
# Readers remember row ids, so a replaced chunk is read again. A draft whose first chunk was lost is not continued.
_WRITE = f"""
INSERT INTO executions_stepdraft ({_KEY}, "offset", text)
SELECT {_KEY}, "offset", text FROM {_GIVEN}, "offset" integer, text text)
WHERE "offset" = 0 OR EXISTS (SELECT FROM executions_stepdraft AS draft WHERE {_SAME} AND draft."offset" = 0)
ON CONFLICT ({_KEY}, "offset") DO UPDATE SET id = excluded.id, text = excluded.text
RETURNING {_KEY}"""  # noqa: S608 - names of columns
_REMOVE = f"DELETE FROM executions_stepdraft AS draft USING {_GIVEN}) WHERE {_SAME}"  # noqa: S608 - names of columns
_TELL = "SELECT pg_notify(%s, string_agg(id::text, ',')) FROM unnest(%s::uuid[]) AS id"
_DELETE_LEFT_DRAFTS = """
DELETE FROM executions_stepdraft WHERE id IN (
  SELECT id FROM executions_stepdraft AS draft WHERE NOT EXISTS (
    SELECT FROM executions_executionstep AS step
    WHERE step.execution_id = draft.execution_id AND step.step_id = draft.step_id
      AND step.attempt = draft.attempt AND step.status = ANY(%s)
  ) FOR UPDATE SKIP LOCKED
)"""  # a late worker may delete the same rows in another order
_TOLD_AT_ONCE = 180  # PostgreSQL limits a notification to 8,000 bytes


class DraftBuffer:
    """The text that a model has written in one call."""

    def __init__(self, call: CallKey, writer: DraftWriter) -> None:
        self.call = call
        self.ended = False
        self.in_table = False
        self.stored = 0  # characters
        self._draft_writer = writer
        self._text = ""

    def add(self, text: str) -> None:
        """Append text."""
        if text and len(self._text) < MAX_CHARACTERS:
            self._text += text
            self._draft_writer.wake(self)

    def end(self) -> None:
        """End the draft: the call is over, and the draft is obsolete."""
        self.ended = True
        self._text = ""

    def mark_stored(self, text: str) -> None:
        """Record that the table contains this text, too."""
        self.stored += len(text)
        self.in_table = True

    def mark_lost(self) -> None:
        """Record that the table contains no text of this draft any more."""
        self.stored, self.in_table = 0, False

    @property
    def has_news(self) -> bool:
        """Whether there is something to write.

        A later try is also written before its first text, to replace the earlier.
        """
        begun_again = self.call.ordinal > 1 and not self.in_table
        return not self.ended and (begun_again or bool(self.unstored))

    @property
    def unstored(self) -> str:
        """The text that is not in the table yet."""
        return self._text[self.stored :]


class DraftWriter:
    """Writes the drafts of this process. A task runs while drafts are open, and ends with the last one."""

    def __init__(self) -> None:
        self._open: dict[CallKey, DraftBuffer] = {}
        self._writer: asyncio.Task[None] | None = None

    def begin(self, call: CallKey) -> DraftBuffer:
        """Return a new draft for a call. It replaces the draft of an earlier try."""
        draft = DraftBuffer(call, self)
        if draft.has_news:
            self.wake(draft)
        return draft

    def wake(self, draft: DraftBuffer) -> None:
        """Schedule a write of a draft that has grown."""
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
    """Write new text of drafts, notify readers, and delete the drafts of ended calls.

    Returns:
        The calls whose drafts were written. The table has lost the first chunks of the others.

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
    """Delete the drafts of steps that no worker is working on. Their workers stopped before they could do it.

    Raises:
        django.db.Error: as Django raises it.
    """
    bulk.execute(_DELETE_LEFT_DRAFTS, [[each.value for each in WORKING]])


def _row_of(call: CallKey) -> Row:
    return call.execution_id, call.step_id, call.attempt, call.ordinal


def _named(call: CallKey) -> dict[str, str]:
    return {
        "execution_id": str(call.execution_id),
        "step_id": call.step_id,
        "attempt": str(call.attempt),
        "ordinal": str(call.ordinal),
    }

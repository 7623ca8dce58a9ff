"""What models write, while they write it: for those who watch, and for nobody else.

Pieces go to an unlogged table, at most ten times a second for all calls of this process in one statement; those of a
call that is over are removed. A notification says whose drafts have grown. What cannot be written is written with the
next piece, or never: no step waits for it, and none fails by it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence

from django.db import transaction

from access import multirow
from executions.engine.calls import CallKey
from executions.engine.errors import Unavailable
from executions.engine.replies import storable
from executions.engine.states import WORKING
from executions.threads import in_thread

CHANNEL = "scriptorium_drafts"
PAUSE_SECONDS = 0.1  # between two writes
MOST_CHARACTERS = 200_000  # of one draft: nobody reads more of it as it comes

logger = logging.getLogger(__name__)

_KEY = "execution_id, step_id, attempt, ordinal"
_GIVEN = "json_to_recordset(%s::json) AS given(execution_id uuid, step_id text, attempt integer, ordinal integer"
_WRITE = f"""
INSERT INTO executions_stepdraft ({_KEY}, "offset", text)
SELECT {_KEY}, "offset", text FROM {_GIVEN}, "offset" integer, text text)
ON CONFLICT ({_KEY}, "offset") DO UPDATE SET text = excluded.text"""  # noqa: S608 - names of columns
_REMOVE = f"""
DELETE FROM executions_stepdraft AS draft USING {_GIVEN})
WHERE draft.execution_id = given.execution_id AND draft.step_id = given.step_id
  AND draft.attempt = given.attempt AND draft.ordinal = given.ordinal"""  # noqa: S608 - names of columns
_TELL = "SELECT pg_notify(%s, string_agg(id::text, ',')) FROM unnest(%s::uuid[]) AS id"
_SWEEP = """
DELETE FROM executions_stepdraft AS draft WHERE NOT EXISTS (
  SELECT FROM executions_executionstep AS step
  WHERE step.execution_id = draft.execution_id AND step.step_id = draft.step_id
    AND step.attempt = draft.attempt AND step.status = ANY(%s)
)"""
_TOLD_AT_ONCE = 180  # ids in a notification, which PostgreSQL cuts off at 8,000 bytes


class StepDraft:
    """What a model has written in one call."""

    def __init__(self, call: CallKey, book: DraftBook) -> None:
        self.call = call
        self.ended = False
        self.stored = 0  # characters
        self._book = book
        self._text = ""

    def add(self, text: str) -> None:
        """Note what comes next."""
        if text and len(self._text) < MOST_CHARACTERS:
            self._text += text
            self._book.wake(self)

    def end(self) -> None:
        """Note that the call is over: what was written is worth nothing any more."""
        self.ended = True
        self._text = self._text[: self.stored]

    @property
    def unstored(self) -> str:
        """What the table has not got yet."""
        return self._text[self.stored :]


class DraftBook:
    """The drafts of this process. A task writes while any grows, and ends when all are over."""

    def __init__(self) -> None:
        self._open: dict[CallKey, StepDraft] = {}
        self._writer: asyncio.Task[None] | None = None

    def begin(self, call: CallKey) -> StepDraft:
        """Return the draft of a call, nothing of it written."""
        return StepDraft(call, self)

    def wake(self, draft: StepDraft) -> None:
        """Have a draft that has grown written soon."""
        self._open[draft.call] = draft
        loop = asyncio.get_running_loop()
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_all(), name="drafts")

    async def _write_all(self) -> None:
        while self._open:
            await asyncio.sleep(PAUSE_SECONDS)
            grown = [(draft, draft.unstored) for draft in self._open.values() if draft.unstored]
            over = [draft for draft in self._open.values() if draft.ended]
            try:
                await self._write(grown, [draft.call for draft in over if draft.stored])
            except Unavailable:
                logger.info("Drafts of %d calls cannot be written for now.", len(grown))
                continue
            for draft, text in grown:
                draft.stored += len(text)
            for draft in over:
                del self._open[draft.call]

    async def _write(self, grown: list[tuple[StepDraft, str]], over: list[CallKey]) -> None:
        if grown or over:
            await in_thread(store, grown, over)


@transaction.atomic
def store(grown: Sequence[tuple[StepDraft, str]], over: Iterable[CallKey]) -> None:
    """Write what has been added to drafts, tell of it, and remove those of calls that are over.

    Raises:
        django.db.Error: as Django raises it.
    """
    rows = [{**_named(draft.call), "offset": draft.stored, "text": storable(text)} for draft, text in grown]
    if rows:
        multirow.execute(_WRITE, [json.dumps(rows)])
    if removed := [_named(call) for call in over]:
        multirow.execute(_REMOVE, [json.dumps(removed)])
    told = sorted({draft.call.execution_id for draft, _ in grown})
    for start in range(0, len(told), _TOLD_AT_ONCE):
        multirow.execute(_TELL, [CHANNEL, told[start : start + _TOLD_AT_ONCE]])


def remove_left_over() -> None:
    """Remove the drafts of steps that nobody works on any more: their workers had no time for it.

    Raises:
        django.db.Error: as Django raises it.
    """
    multirow.execute(_SWEEP, [[each.value for each in WORKING]])


def _named(call: CallKey) -> dict[str, str]:
    return {
        "execution_id": str(call.execution_id),
        "step_id": call.step_id,
        "attempt": str(call.attempt),
        "ordinal": str(call.ordinal),
    }

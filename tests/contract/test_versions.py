"""Edits, restores and accepted proposals of several writers, in any interleaving: versions are 1 to n, none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from common.errors import NotFound, VersionConflict
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import LINE, SCHEMA
from tests.support.fuzzing import examples

WorldOf = type[MemoryWorld] | type[PostgresWorld]
WRITERS = 3
#: What a writer does with the newest version that it knows; "read" learns of all versions.
MOVES = st.sampled_from(["read", "edit", "restore", "propose", "accept"])
#: Which version it restores or accepts, counted from the newest one that it knows.
MOVE = st.tuples(st.integers(0, WRITERS - 1), MOVES, st.integers(0, 3))
#: The moves of one turn are made at once.
TURNS = st.lists(st.lists(MOVE, min_size=1, max_size=WRITERS, unique_by=lambda move: move[0]), max_size=10)
_numbers = count(1)


@pytest.fixture
async def world(world_of: WorldOf) -> AnyWorld:
    """A world with a scope."""
    made = world_of(LINE)
    await made.start()
    return made


class History:
    """A document, what was stored of it, and what each writer knows."""

    def __init__(self, world: AnyWorld, first: Document) -> None:
        self.documents = world.ports.repositories.documents
        self.stored: list[Document] = []
        self.known = [0] * WRITERS
        self.first = first

    async def write(self, writer: int, move: str, back: int) -> None:
        """Make a writer's move."""
        known = self.known[writer]
        base = self.stored[max(0, known - 1 - back)] if known else self.first
        title = base.title if move in {"restore", "accept"} else f"Text {next(_numbers)}"
        made = replace(
            base, version=known + 1, title=title, content={"title": title}, proposed=move == "propose" and known > 0
        )
        saved = await self.documents.save(made)
        self.stored.append(saved)
        self.known[writer] = saved.version

    async def play(self, turn: list[tuple[int, str, int]]) -> None:
        """Make the moves of a turn; of the writers who know all versions exactly one stores the next."""
        before = len(self.stored)
        writers = [move for move in turn if move[1] != "read"]
        wins = int(any(self.known[writer] == before for writer, _, _ in writers))
        results = await asyncio.gather(*(self.write(*move) for move in writers), return_exceptions=True)
        assert Counter(map(type, results)) == Counter({type(None): wins, VersionConflict: len(writers) - wins})
        assert [each.version for each in self.stored] == [*range(1, before + wins + 1)]
        for writer, move, _ in turn:
            if move == "read":
                self.known[writer] = len(self.stored)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=TURNS)
async def test_no_version_is_lost_in_any_interleaving(world: AnyWorld, turns: list[list[tuple[int, str, int]]]) -> None:
    first = Document(
        id=uuid7(),
        scope_id=(await world.now()).scope.id,
        type=f"paper-{next(_numbers)}",
        version=1,
        title="First",
        content={"title": "First"},
        schema=SCHEMA,
        execution_id=None,
        step_id=None,
        created_at=datetime.now(UTC),
        author_name="ann",
    )
    history = History(world, first)
    for turn in turns:
        await history.play(turn)
    document_id = history.stored[0].id if history.stored else first.id
    for each in history.stored:
        kept = await history.documents.get(document_id, each.version)
        assert (kept.title, kept.content, kept.proposed) == (each.title, each.content, each.proposed)
    with pytest.raises(NotFound):
        await history.documents.get(document_id, len(history.stored) + 1)
    heads = [each.version for each in history.stored if not each.proposed]
    if heads:
        assert (await history.documents.get(document_id)).version == heads[-1]

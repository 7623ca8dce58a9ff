"""The text of a brief's files, in memory and on PostgreSQL."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access.services import ensure_user
from common.errors import NotFound
from documents.extraction.results import Extraction, FileType, Segment
from documents.files import storage
from executions.db_threads import in_thread
from executions.engine.domain.brief import BriefFile, Passage, file_ids, without_files
from executions.engine.testing.in_memory import InMemoryFileRepository
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import LINE, document, invalid
from tests.unit.prompting.test_prompt_replay import shown


async def store(world: AnyWorld, name: str, text: str) -> BriefFile:
    """Store a file of one page, and return it as the engine reads it."""
    passages, kind = (Passage(anchor="page=1", text=text),), FileType.PDF
    files = world.ports.repositories.files
    if isinstance(files, InMemoryFileRepository):
        made = BriefFile(id=uuid7(), name=name, media_type=kind.media_type, passages=passages)
        files.files[made.id] = made
        return made
    extraction = Extraction.of(kind, [Segment("page=1", "page 1", text)], pages=1)

    def keep() -> BriefFile:
        user = ensure_user(name="ann")
        row = storage.store_file(user=user, name=name, data=b"%PDF", extraction=extraction, now=timezone.now())
        return BriefFile(id=row.id, name=name, media_type=row.media_type, passages=passages)

    return await in_thread(keep)


async def test_files_come_in_the_order_of_their_ids(world_of: type[MemoryWorld] | type[PostgresWorld]) -> None:
    world = world_of(LINE)
    first, second = await store(world, "a.pdf", "One."), await store(world, "b.pdf", "Zwei ☃.")
    files = world.ports.repositories.files
    assert await files.get([second.id, first.id]) == [second, first]
    with pytest.raises(NotFound):
        await files.get([first.id, uuid7()])


async def test_prompts_with_files_are_rebuilt_exactly(world_of: type[MemoryWorld] | type[PostgresWorld]) -> None:
    world = world_of(LINE, {"one": [invalid(), document()], "two": [document()]})
    files = [await store(world, "a.pdf", "One."), await store(world, "b.pdf", "Zwei ☃.")]
    await world.start({"files": [str(each.id) for each in files]})
    await world.run()
    assert len(world.asked) == 3
    for request in world.asked:
        assert request.prompt.startswith('<data kind="file" name="a.pdf">\n[a.pdf#page=1]\nOne.\n</data>')
        assert "[b.pdf#page=1]\nZwei ☃.\n</data>" in request.prompt
    if isinstance(world, MemoryWorld):  # the log of the other one is rows
        assert all(each.is_exact for each in await shown(world))
        return
    [call, *_] = await world.ports.ledger.calls(world.execution_id, "two")
    assert call.request_hash == world.asked[2].request_hash


@pytest.mark.parametrize("files", [["plan.md"], "none", {"a": 1}, [7], None, [str(uuid7()).upper()]])
async def test_a_brief_without_ids_is_read_as_it_is(
    world_of: type[MemoryWorld] | type[PostgresWorld], files: JsonValue
) -> None:
    world = world_of(LINE, {"one": [document()], "two": [document()]})
    brief: dict[str, JsonValue] = {"text": "See the plan.", "files": files}
    await world.start(brief)
    await world.run()
    assert (file_ids(brief), without_files(brief)) == ((), brief)
    assert len(world.asked) == 2
    assert all('"files"' in each.prompt for each in world.asked)

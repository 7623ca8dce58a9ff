"""The text of a brief's files, in memory and on PostgreSQL."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access.services import claim_root_scope, ensure_user
from documents.extraction.results import Extraction, FileType, Segment
from documents.files import storage
from executions.db_threads import in_thread
from executions.engine.domain.brief import BriefFile, Passage, file_ids, without_files
from executions.engine.domain.copying import replace
from executions.engine.domain.states import ExecutionStatus, Reuse
from executions.engine.runtime.reuse_plan import plan_reuse
from executions.engine.testing.in_memory import InMemoryFileRepository
from executions.engine.transitions.planner import new_execution
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import LINE, document, invalid
from tests.unit.prompting.test_prompt_replay import shown


async def store(world: AnyWorld, name: str, text: str, *, scope: str = "p", encrypted: bool = False) -> BriefFile:
    """Store a file of one page that a scope uses, and return it as the engine reads it."""
    passages, kind, data = (Passage(anchor="page=1", text=text),), FileType.PDF, b"%PDF"
    described: dict[str, Any] = {"name": name, "media_type": kind.media_type, "passages": passages, "pages": 1}
    described |= {"sha256": sha256(data).hexdigest(), "size": len(data), "encrypted": encrypted}
    files = world.ports.repositories.files
    if isinstance(files, InMemoryFileRepository):
        made = BriefFile(id=uuid7(), **described)
        files.files[world.scope_id if scope == "p" else uuid7(), made.id] = made
        return made
    extraction = Extraction.of(kind, [Segment("page=1", "page 1", text)], pages=1, encrypted=encrypted)

    def keep() -> BriefFile:
        user = ensure_user(name="ann")
        row = storage.store_file(user=user, name=name, data=data, extraction=extraction, now=timezone.now())
        root = claim_root_scope(user=user, scope_type="project", scope_key=scope)
        world.scope_id = root.id if scope == "p" else world.scope_id
        with transaction.atomic():
            storage.use_files(user=user, file_ids=[row.id], root_id=root.id)
        return BriefFile(id=row.id, **described)

    return await in_thread(keep)


async def test_files_of_the_scope_come_in_the_order_of_their_ids(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    world = world_of(LINE)
    first, second = await store(world, "a.pdf", "One."), await store(world, "b.pdf", "Zwei ☃.", encrypted=True)
    elsewhere = await store(world, "c.pdf", "Drei.", scope="q")
    files, ids = world.ports.repositories.files, [second.id, elsewhere.id, uuid7(), first.id]
    assert await files.get(ids, scope_id=world.scope_id) == [second, first]


async def test_ids_that_are_no_files_of_the_scope_stay_in_the_brief(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    world = world_of(LINE, {"one": [document()], "two": [document()]})
    mine, foreign = await store(world, "a.pdf", "One."), await store(world, "c.pdf", "Secret.", scope="q")
    await world.start({"text": "See.", "files": [str(mine.id), str(foreign.id)]})
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    for request in world.asked:
        assert (str(foreign.id) in request.prompt, str(mine.id) in request.prompt) == (True, False)
        assert ("One." in request.prompt, "Secret." in request.prompt) == (True, False)


async def test_prompts_with_files_are_rebuilt_exactly(world_of: type[MemoryWorld] | type[PostgresWorld]) -> None:
    world = world_of(LINE, {"one": [invalid(), document()], "two": [document()]})
    files = [await store(world, "a.pdf", "One."), await store(world, "b.pdf", "Zwei ☃.")]
    await world.start({"files": [str(each.id) for each in files]})
    await world.run()
    assert len(world.asked) == 3
    for request in world.asked:
        assert request.prompt.startswith('<data kind="file" name="a.pdf">\n[a.pdf#page=1]\nOne.\n')
        assert "[b.pdf#page=1]\nZwei ☃.\n" in request.prompt
    if isinstance(world, MemoryWorld):  # the log of the other one is rows
        assert all(each.is_exact for each in await shown(world))
        return
    [call, *_] = await world.ports.ledger.calls(world.execution_id, "two")
    assert call.request_hash == world.asked[2].request_hash


async def test_the_same_file_uploaded_again_is_the_same_brief(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    world = world_of(LINE, {"one": [document()], "two": [document()]})
    first, again, other = [await store(world, name, "One.") for name in ("a.pdf", "a.pdf", "b.pdf")]
    await world.start({"files": [str(first.id)]})
    await world.run()
    asked = len(world.asked)
    world.script = {"one": [document()], "two": [document()]}
    for file, calls in ((again, 0), (other, 1)):
        await world.ports.clock.sleep(0.01)
        brief: dict[str, JsonValue] = {"files": [str(file.id)]}
        await world.start_again(brief, reuse=Reuse.CURRENT)
        assert (await world.runner("b").run()).status is ExecutionStatus.COMPLETED
        assert bool(len(world.asked) - asked) is bool(calls)


async def test_files_that_the_scope_does_not_use_yet_are_known_to_a_plan(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    world = world_of(LINE, {"one": [document()], "two": [document()]})
    first, new = await store(world, "a.pdf", "One."), await store(world, "a.pdf", "One.", scope="q")
    await world.start({"files": [str(first.id)]})
    await world.run()
    execution = new_execution(
        world.definition,
        execution_id=uuid7(),
        workflow_version=1,
        scope=(await world.now()).scope,
        brief={"files": [str(new.id)]},
        now=world.ports.clock.now(),
    )
    execution = replace(execution, reuse=Reuse.CURRENT)
    for files, reused in (([new], {"one": 1, "two": 1}), ([], {})):
        found = await plan_reuse(execution, world.ports, definition=world.definition, files=files)
        assert dict(found.reused) == reused


@pytest.mark.parametrize("files", [["plan.md"], "none", {"a": 1}, [7], None, [str(uuid7()).upper()]])
async def test_a_brief_without_ids_is_read_as_it_is(
    world_of: type[MemoryWorld] | type[PostgresWorld], files: JsonValue
) -> None:
    world = world_of(LINE, {"one": [document()], "two": [document()]})
    brief: dict[str, JsonValue] = {"text": "See the plan.", "files": files}
    await world.start(brief)
    await world.run()
    assert (file_ids(brief), without_files(brief, ())) == ((), brief)
    assert len(world.asked) == 2
    assert all('"files"' in each.prompt for each in world.asked)

"""The text of a call can be followed until the call ends."""

from __future__ import annotations

import json

from executions.engine.testing.in_memory_models import InMemoryDrafts
from tests.factories.engine import World, definition, document, invalid


async def test_each_call_has_a_draft_of_its_own_that_ends_with_it() -> None:
    world = await World(definition({"id": "one"}), {"one": [invalid(), document("T")]}).start()
    await world.run()
    drafts = world.ports.drafts
    assert isinstance(drafts, InMemoryDrafts)
    assert [(key.attempt, each.ended) for key, each in drafts.written.items()] == [(1, True), (2, True)]
    assert json.loads(list(drafts.written.values())[1].text)["title"] == "T"

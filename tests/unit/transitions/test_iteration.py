"""Steps over the items of a collection run once per item, in the item's own scope."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid5

import pytest

from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus
from tests.factories.collections import collection, delivery, items, over
from tests.factories.engine import Reply, World, definition, document

REFUSED = ModelError(FailureCode.PROVIDER_REJECTED, "No.", transient=False)


def scripted(more: Mapping[str, Sequence[Reply]] | None = None) -> dict[str, list[Reply]]:
    """Return two epics, the first with two stories and the second with one."""
    return {
        "epics": [items("epics", "pay", "ship")],
        "stories@pay": [items("stories", "card", "cash")],
        "stories@ship": [items("stories", "card")],
        **{step_id: list(replies) for step_id, replies in (more or {}).items()},
    }


async def test_every_item_gets_its_steps_and_every_nested_item_its_own() -> None:
    world = await World(delivery(), scripted()).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert [
        step.step_id for step in sorted(execution.steps.values(), key=lambda each: (each.position, each.item_order))
    ] == [
        "epics",
        "design@pay",
        "design@ship",
        "stories@pay",
        "stories@ship",
        "test@pay.card",
        "test@pay.cash",
        "test@ship.card",
        "summary",
    ]
    assert execution.steps["test@ship.card"].depends_on == ("design@ship", "epics", "stories@ship")
    assert execution.steps["test@pay.card"].label == "Item card"


async def test_documents_live_in_the_scopes_of_their_items() -> None:
    world = await World(delivery(), scripted()).start()
    execution = await world.run()
    pay = uuid5(execution.scope.id, "epic/pay")
    scopes = {step_id: (step.scope.id, step.scope.type, step.scope.key) for step_id, step in execution.steps.items()}
    assert scopes["epics"] == (execution.scope.id, "project", "p")
    assert scopes["design@pay"] == scopes["stories@pay"] == (pay, "epic", "pay")
    assert scopes["test@pay.card"] == (uuid5(pay, "story/card"), "story", "card")
    assert scopes["test@ship.card"][0] != scopes["test@pay.card"][0]
    assert len({(each[0].scope_id, each[0].type) for each in world.documents.versions.values()}) == 9
    assert all(len(versions) == 1 for versions in world.documents.versions.values())


async def test_a_step_reads_its_own_item_and_the_documents_around_it_alone() -> None:
    asked: dict[str, ModelRequest] = {}

    async def designed(request: ModelRequest) -> ModelReply:
        return document(f"Design for {request.step_id}")

    async def noted(request: ModelRequest) -> ModelReply:
        asked[request.step_id] = request
        return document("Tested")

    script = scripted({"design@pay": [designed], "design@ship": [designed], "test@pay.cash": [noted]})
    world = await World(delivery(), script).start()
    await world.run()
    materials = [(each.kind, each.name) for each in asked["test@pay.cash"].materials]
    assert materials == [("brief", "brief"), ("document", "design"), ("item", "epic pay"), ("item", "story cash")]
    text = " ".join(each.text for each in asked["test@pay.cash"].materials)
    assert "Design for design@pay" in text
    assert "Item cash" in text
    assert "ship" not in text
    assert "card" not in text


@pytest.mark.parametrize(
    ("keys", "code", "pointer"),
    [
        (("a", "a"), "duplicate_key", "/epics/1/id"),
        (("a", "Not a slug"), "unusable_key", "/epics/1/id"),
        (("a", "b", "c"), "too_many_items", "/epics"),
    ],
)
async def test_a_collection_that_cannot_be_gone_over_is_sent_back(
    keys: tuple[str, ...], code: str, pointer: str
) -> None:
    short = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": over("epics", "epic", limit=2)},
    )
    world = await World(short, {"epics": [items("epics", *keys), items("epics", "a", "b")]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    [remediation] = [each for each in world.journal.log[execution.id] if each.event_type == "remediation_started"]
    violations: Any = remediation.data["violations"]
    assert [(each["code"], each["pointer"]) for each in violations] == [(code, pointer)]
    assert {"design@a", "design@b"} < set(execution.steps)


async def test_an_empty_collection_is_done_at_once() -> None:
    world = await World(delivery(), {"epics": [items("epics")]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert set(execution.steps) == {"epics", "summary"}


async def test_a_failed_item_fails_the_execution_unless_it_may_be_skipped() -> None:
    world = await World(delivery(), scripted({"design@pay": [REFUSED]})).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.FAILED
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.PROVIDER_REJECTED
    assert execution.steps["stories@pay"].status is StepStatus.SKIPPED


async def test_a_failed_item_that_may_be_skipped_takes_only_what_needs_it_along() -> None:
    world = await World(delivery(epic="skip"), scripted({"design@pay": [REFUSED]})).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.failure is None
    statuses = {step_id: step.status for step_id, step in execution.steps.items()}
    assert statuses["design@pay"] is StepStatus.FAILED
    assert statuses["stories@pay"] is StepStatus.SKIPPED
    assert statuses["test@ship.card"] is StepStatus.COMPLETED
    assert not [step_id for step_id in statuses if step_id.startswith("test@pay")]


@pytest.mark.parametrize("max_count", [1, 3])
async def test_no_more_steps_are_at_work_than_the_workflow_allows(max_count: int) -> None:
    at_work, seen = 0, []

    async def counted(request: ModelRequest) -> ModelReply:
        nonlocal at_work
        at_work += 1
        seen.append(at_work)
        for _ in range(5):
            await asyncio.sleep(0)
        at_work -= 1
        return document(request.step_id)

    keys = [f"k{number}" for number in range(12)]
    wide = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": over("epics", "epic")},
        {"id": "check", "for_each": over("epics", "epic"), "inputs": ["design"]},
        max_parallel=max_count,
    )
    each: dict[str, list[Reply]] = {f"{slug}@{key}": [counted] for slug in ("design", "check") for key in keys}
    world = await World(wide, {"epics": [items("epics", *keys)], **each}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert len(seen) == 24
    assert max(seen) == max_count


async def test_a_collection_made_again_keeps_what_stays_and_leaves_out_what_has_gone() -> None:
    script = scripted({"design@pay": [REFUSED]})
    world = await World(delivery(), script).start()
    await world.run()
    script["epics"] = [items("epics", "ship", "bill")]
    script["stories@bill"] = [items("stories", "post")]
    script["stories@ship"] = [items("stories", "card")]
    await world.retry("epics")
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    statuses = {step_id: step.status for step_id, step in execution.steps.items()}
    assert statuses["design@pay"] is statuses["stories@pay"] is StepStatus.SKIPPED
    assert statuses["test@bill.post"] is statuses["test@ship.card"] is StepStatus.COMPLETED
    assert execution.steps["design@ship"].item_order < execution.steps["design@bill"].item_order


async def test_what_had_no_item_any_more_is_left_out_by_a_later_retry_too() -> None:
    script = scripted({"design@pay": [REFUSED]})
    world = await World(delivery(), script).start()
    await world.run()
    script["epics"] = [items("epics", "ship")]
    script["stories@ship"] = [items("stories", "card")]
    script["test@ship.card"] = [REFUSED]
    await world.retry("epics")
    assert (await world.run("b")).status is ExecutionStatus.FAILED
    await world.retry()
    execution = await world.run("c")
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.steps["design@pay"].status is execution.steps["stories@pay"].status is StepStatus.SKIPPED
    assert execution.steps["test@ship.card"].status is StepStatus.COMPLETED


async def test_a_thousand_items_work() -> None:
    keys = [f"k{number}" for number in range(1000)]
    wide = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": over("epics", "epic")},
    )
    world = await World(wide, {"epics": [items("epics", *keys)]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.done_steps == 1001
    assert len(world.documents.versions) == 1001

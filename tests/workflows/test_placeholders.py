"""Placeholders stand for names that the workflow gives; what stands for nothing is found before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.states import ExecutionStatus
from tests.engine.collections import collection, items, over
from tests.engine.verdicts import SATISFIED
from tests.engine.world import World, definition, document
from workflows.definition import DefinitionError
from workflows.placeholders import ITEM_NAMES, NAMES, rendered

EVERY = " ".join(f"{{{{ {name} }}}}" for name in NAMES)


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ({"task": "Write for {{ customer }}."}, "/steps/0/task"),
        ({"task": "Write about {{item.key}}."}, "/steps/0/task"),
        ({"review": {"rubric": "As {{ brief.title }} says."}}, "/steps/0/review/rubric"),
    ],
)
def test_what_stands_for_nothing_is_a_fault_of_the_definition(step: dict[str, Any], where: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one", **step})
    assert [(each.pointer, each.code) for each in caught.value.faults] == [(where, "unknown_placeholder")]


@pytest.mark.parametrize(
    "text",
    [
        "{{ step.id|upper }}",
        "{{ workflow.id",
        "{% if x %}yes{% endif %}",
        "{{{ step.id }}}",
        "{{ }}",
        "{{ step.id }} {{step.id}",
        "{{ step.id\n}}",
    ],
)
def test_what_looks_like_a_template_and_is_none_is_a_fault_of_the_definition(text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one", "task": f"Write. {text}"})
    assert {(each.pointer, each.code) for each in caught.value.faults} == {("/steps/0/task", "broken_placeholder")}


@pytest.mark.parametrize("text", ['{"a": {"b": {}}}', "100 %} of {it}", "{ { step.id } }", "{{ step.id }}}}"])
def test_braces_that_open_no_placeholder_are_text(text: str) -> None:
    assert definition({"id": "one", "task": text}).steps[0].task == text


def test_a_role_may_use_what_every_step_that_has_it_knows() -> None:
    roles = {"writer": {"name": "Writer", "instructions": "You write {{ document.type }}s, for {{ item.key }}."}}
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one"}, roles=roles)
    [fault] = caught.value.faults
    assert (fault.pointer, "item.key" in fault.detail) == ("/roles/writer/instructions", True)


@given(st.text())
def test_what_is_no_placeholder_stays_as_it_is(text: str) -> None:
    assert rendered(text.replace("{{", "{ {"), {}) == text.replace("{{", "{ {")
    assert rendered('{{"a": 1}} {{ }} {{a b}} {{ {x} }} {{{{', {}) == '{{"a": 1}} {{ }} {{a b}} {{ {x} }} {{{{'


async def test_models_read_what_they_stand_for() -> None:
    roles = {"writer": {"name": "Writer", "instructions": "You write the {{document.type}}."}}
    flow = definition({"id": "one", "task": EVERY, "review": {"rubric": "A {{ step.name }}."}}, roles=roles)
    world = await World(flow, {"one": [document(), SATISFIED]}).start("{{ scope.type }} {{ nothing }}")
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    writing, reviewing = world.asked
    assert "report Report one One one project" in writing.prompt
    assert "# Who you are: Writer\n\nYou write the one.\n" in writing.prompt
    assert "{{ scope.type }} {{ nothing }}" in writing.prompt  # what people write is data, and no template
    assert "A One." in reviewing.instructions


async def test_a_step_over_items_knows_which_it_is_about() -> None:
    every = " ".join(f"{{{{ {name} }}}}" for name in ITEM_NAMES)
    flow = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "task": f"About {every}.", "for_each": over("epics", "epic")},
    )
    world = await World(flow, {"epics": [items("epics", "pay")]}).start()
    await world.run()
    assert "About pay." in world.asked[1].prompt

"""Placeholders stand for names of the workflow; unknown ones are found when it is loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.domain.states import ExecutionStatus
from tests.factories.collections import collection, items, over
from tests.factories.engine import World, definition, document
from tests.factories.reviews import SATISFIED
from workflows.definitions.definition import DefinitionError
from workflows.definitions.placeholders import ITEM_NAMES, NAMES, invalid_placeholders, render_text

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
    assert [(each.pointer, each.code) for each in caught.value.errors] == [(where, "unknown_placeholder")]


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
    assert {(each.pointer, each.code) for each in caught.value.errors} == {("/steps/0/task", "broken_placeholder")}


@pytest.mark.parametrize("text", ['{"a": {"b": {}}}', "100 %} of {it}", "{ { step.id } }", "{{ step.id }}}}"])
def test_braces_that_open_no_placeholder_are_text(text: str) -> None:
    assert definition({"id": "one", "task": text}).steps[0].task == text


def test_a_role_may_use_what_every_step_that_has_it_knows() -> None:
    roles = {"writer": {"name": "Writer", "instructions": "You write {{ document.type }}s, for {{ item.key }}."}}
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one"}, roles=roles)
    [field_error] = caught.value.errors
    assert (field_error.pointer, "item.key" in field_error.detail) == ("/roles/writer/instructions", True)


@given(st.text())
def test_what_is_no_placeholder_stays_as_it_is(text: str) -> None:
    assert render_text(text.replace("{{", "{ {"), {}) == text.replace("{{", "{ {")
    assert render_text('{{"a": 1}} {{ }} {{a b}} {{ {x} }} {{{{', {}) == '{{"a": 1}} {{ }} {{a b}} {{ {x} }} {{{{'


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


def escaped(text: str) -> str:
    """Return a template for this text."""
    return re.sub(r"\{(?=[{%])", '{{ "{" }}', text)


@pytest.mark.parametrize(
    "text",
    [
        "${{ secrets.KEY }}",
        r"\frac{{a}}{{b}}",
        "{% if x %}",
        "{{{ x }}}",
        "{{",
        "{{ step.id }}",
        '{{ "{{" }}',
        "a{{b{%c",
    ],
)
@pytest.mark.parametrize("field", ["task", "rubric", "instructions"])
async def test_braces_that_are_escaped_reach_the_model_as_they_are_meant(text: str, field: str) -> None:
    template = f"Begin {escaped(text)} end, step {{{{ step.id }}}}."
    given = {"task": "Write.", "rubric": "Judge.", "instructions": "You write.", field: template}
    roles = {"writer": {"name": "Writer", "instructions": given["instructions"]}}
    flow = definition({"id": "one", "task": given["task"], "review": {"rubric": given["rubric"]}}, roles=roles)
    world = await World(flow, {"one": [document(), SATISFIED]}).start()
    await world.run()
    asked = [each.prompt + each.instructions for each in world.asked]
    assert any(f"Begin {text} end, step one." in each for each in asked)


@pytest.mark.parametrize("opening", ["{{", "{%"])
def test_the_fault_of_a_brace_names_the_escape_and_the_escape_works(opening: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one", "task": f"Write ${opening} secrets.KEY."})
    [field_error] = caught.value.errors
    escape = f'{{{{ "{opening}" }}}}'
    assert escape in field_error.detail
    flow = definition({"id": "one", "task": f"Write ${escape} secrets.KEY."})
    assert flow.steps[0].rendered({}).task == f"Write ${opening} secrets.KEY."


@pytest.mark.parametrize("text", ['{{ "a }}', '{{ "a" "b" }}', '{{ "a"|upper }}', '{{ "a\n" }}', "{{ 'a' }}"])
def test_what_is_no_text_between_quotes_is_a_fault(text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({"id": "one", "task": f"Write. {text}"})
    assert {each.code for each in caught.value.errors} == {"broken_placeholder"}


@given(st.text(st.sampled_from('{}%"a. \n')))
def test_any_text_can_be_escaped(text: str) -> None:
    assert list(invalid_placeholders(escaped(text))) == []
    assert render_text(escaped(text), {}) == text


async def test_braces_in_names_and_titles_are_text() -> None:
    flow = definition({"id": "one", "name": "A {{ step.id }} {% b", "task": "Name: {{ step.name }}."})
    world = await World(flow, {"one": [document("{{ step.id }}")]}).start("# {{ workflow.id }}")
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert "Name: A {{ step.id }} {% b." in world.asked[0].prompt
    assert "# {{ workflow.id }}" in world.asked[0].prompt
    assert world.documents.versions[execution.scope.id, "one"][0].title == "{{ step.id }}"

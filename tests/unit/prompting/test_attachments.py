"""Files in prompts: as text, or as they are for models that read them; of briefs, answers and documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from common import limits as module
from common.limits import limits
from executions.engine.domain.brief import FILE, BriefFile, Passage
from executions.engine.domain.calls import Reading, ToolCall, max_input_tokens
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import ModelError
from executions.engine.domain.execution import Document
from executions.engine.domain.states import FailureCode
from executions.engine.prompting.prompts import PromptInputs, build_request
from executions.engine.testing.in_memory import InMemoryFileRepository, ManualClock
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import clarification
from tests.factories.engine import ASKING, LINE, World, definition, document, invalid, reply
from tests.unit.prompting.test_prompt_replay import shown
from workflows.definitions.definition import WorkflowDefinition

SEES = Reading(pictures=True, pdfs=True)
CHARTER = definition({"id": "one", "inputs": ["charter"]}, scope_documents=["charter"])
PLAN = BriefFile(
    id=uuid7(),
    name="plan.pdf",
    media_type="application/pdf",
    passages=(Passage(anchor="page=1", text="Lend 400 tools."), Passage(anchor="page=2", text="")),
    sha256="a" * 64,
    size=1_000,
    pages=2,
)
SITE = BriefFile(
    id=uuid7(), name="site.png", media_type="image/png", passages=(), sha256="b" * 64, size=500, width=8, height=6
)
NOTES = BriefFile(
    id=uuid7(), name="notes.txt", media_type="text/plain", passages=(Passage(anchor="lines=1-2", text="Three vans."),)
)


def request_for(*files: BriefFile, reading: Reading = SEES, budget: int = 24_000, condensed: bool = False) -> Any:
    step = LINE.steps[0]
    return build_request(
        step_id="one",
        step=step.model_copy(update={"input_token_budget": budget}),
        role=LINE.roles[step.role],
        model="p:m",
        inputs=PromptInputs(brief="See.", files=files, reading=reading),
        rejected=None,
        condensed=condensed,
    )


def names(request: Any) -> list[str]:
    return [each.name for each in request.attachments]


def test_a_model_gets_what_it_reads_and_the_text_of_the_rest() -> None:
    told = {
        SEES: ["plan.pdf", "site.png"],
        Reading(pictures=True): ["site.png"],
        Reading(pdfs=True): ["plan.pdf"],
        Reading(): [],
    }
    for reading, attached in told.items():
        request = request_for(PLAN, SITE, NOTES, reading=reading)
        assert names(request) == attached
        assert ("The picture cannot be shown to this model." in request.prompt) is not reading.pictures
        assert ("this model does not read PDFs" in request.prompt) is not reading.pdfs
        assert ("Lend 400 tools." in request.prompt) is not reading.pdfs
        assert ("Cite its pages as plan.pdf#page=1 to plan.pdf#page=2." in request.prompt) is reading.pdfs
        assert "[notes.txt#lines=1-2]\nThree vans." in request.prompt


def test_the_hash_names_the_bytes_and_only_where_there_are_any() -> None:
    other = request_for(replace(SITE, sha256="c" * 64))
    assert request_for(SITE).request_hash == request_for(SITE).request_hash
    assert request_for(SITE).prompt == other.prompt
    assert request_for(SITE).request_hash != other.request_hash
    assert request_for(NOTES).request_hash == request_for(NOTES, reading=Reading()).request_hash


def test_a_page_counts_as_its_text_and_one_picture() -> None:
    text, seen = request_for(PLAN, reading=Reading()), request_for(PLAN, reading=replace(SEES, picture_tokens=900))
    [attached] = seen.attachments
    assert attached.tokens == 3 + 600
    assert 15 + 1_800 < attached.max_tokens < 15 + 1_800 + 100  # with tags
    assert max_input_tokens(seen) == max_input_tokens(replace(seen, attachments=())) + attached.max_tokens
    assert max_input_tokens(text) < max_input_tokens(seen)


@pytest.mark.parametrize(
    ("file", "reading", "changed"),
    [
        (PLAN, SEES, {"call_file_bytes": 999}),
        (replace(PLAN, pages=101), replace(SEES, picture_tokens=1), {}),
        (replace(PLAN, pages=8), SEES, {}),  # more tokens than the step's budget
        (replace(SITE, width=8_001), SEES, {}),
        (SITE, replace(SEES, picture_bytes=499), {}),
    ],
)
def test_what_is_too_large_for_a_call_is_text_and_told(
    monkeypatch: pytest.MonkeyPatch, file: BriefFile, reading: Reading, changed: dict[str, int]
) -> None:
    monkeypatch.setattr(module, "_current", replace(limits(), **changed))
    request = request_for(file, reading=reading, budget=10_000)
    assert names(request) == []
    assert "too large" in request.prompt


def test_of_an_encrypted_pdf_a_model_gets_the_text() -> None:
    request = request_for(replace(PLAN, encrypted=True))
    assert names(request) == []
    assert "Lend 400 tools." in request.prompt
    assert "[Only the text of this file is shown: it is encrypted.]" in request.prompt


def test_no_text_is_cut_for_a_file_and_a_shortened_prompt_has_half() -> None:
    pages = 1_667 * 2 + 3
    long = replace(NOTES, passages=(Passage(anchor="lines=1-2", text="x" * 4 * 8_000),))
    assert names(request_for(PLAN, budget=pages + 300)) == ["plan.pdf"]
    assert names(request_for(PLAN, long, budget=pages + 4_000)) == []
    assert names(request_for(PLAN, SITE, condensed=True)) == ["site.png"]
    cut = request_for(SITE, long, condensed=True)
    assert (names(cut), "characters left out" in cut.prompt) == ([], True)


async def world_with(files: Sequence[BriefFile], *, flow: WorkflowDefinition, reading: Reading) -> World:
    world = World(flow)
    known = cast("InMemoryFileRepository", world.ports.repositories.files).files
    known |= {(world.scope_id, each.id): each for each in files}
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.readings["scripted:standard"] = reading
    return world


async def answer(world: World, file_id: object, usable: Sequence[UUID], step_id: str = "one") -> None:
    await world.decide(
        lambda execution, context: clarification.answer(
            execution, step_id, {f"{step_id}.1.1": str(file_id)}, answered_by="ann", files=usable, context=context
        )
    )


ASK = reply(
    ToolCall(
        name="ask_clarification",
        arguments={"questions": [{"text": "Where is the plan?", "answer_type": "file", "required": True}]},
    )
)


@pytest.mark.parametrize("reading", [Reading(), SEES])
async def test_a_file_that_is_an_answer_is_in_the_next_prompt(reading: Reading) -> None:
    newer = replace(PLAN, id=uuid7(), sha256="c" * 64, passages=(Passage(anchor="page=1", text="Lend 500."),), pages=1)
    world = await world_with([PLAN, newer], flow=ASKING, reading=reading)
    world.script = {"one": [ASK, document("As plan-2.pdf#page=3 says"), document("As plan-2.pdf#page=1 says")]}
    await world.start({"text": "See the plan.", "files": [str(PLAN.id)]})
    await world.run()
    cast("ManualClock", world.ports.clock).advance(1)
    await answer(world, newer.id, [newer.id])
    execution = await world.now()
    assert (await world.run()).steps["one"].attempt == 3
    assert all(each.is_exact for each in await shown(world))
    told = world.asked[1]
    assert execution.steps["one"].rounds[0].answers == {"one.1.1": str(newer.id)}
    assert "The file plan-2.pdf, which is shown above." in told.prompt
    assert ("[plan-2.pdf#page=1]\nLend 500." in told.prompt) is not reading.pdfs
    assert [each.is_shared for each in told.attachments] == ([True, False] if reading.pdfs else [])
    assert "plan-2.pdf has 1 page; page 3 does not exist." in world.asked[2].prompt
    assert 'name="plan-2.pdf"' not in world.asked[3].prompt  # another step's answer


REFUSED = ModelError(FailureCode.PROVIDER_REJECTED, "No such files.")


async def test_a_refused_request_with_files_is_made_again_with_their_text() -> None:
    world = await world_with([PLAN, SITE], flow=LINE, reading=SEES)
    world.script = {"one": [REFUSED, invalid(), REFUSED, document()], "two": [REFUSED, REFUSED]}
    await world.start({"files": [str(PLAN.id), str(SITE.id)]})
    ended = await world.run()
    assert {step: (each.status.value, each.attempt) for step, each in ended.steps.items()} == {
        "one": ("completed", 2),
        "two": ("failed", 1),
    }
    assert [len(request.attachments) for request in world.asked] == [2, 0, 2, 0, 2, 0]
    for request in world.asked[1::2]:
        assert "Lend 400 tools." in request.prompt
        assert "The picture cannot be shown" in request.prompt
    assert all(each.is_exact for each in await shown(world))


async def add_charter(world: World, file: BriefFile, content: str, kind: str = "charter") -> None:
    """Store the charter, or another document, made from a file."""
    made = Document(
        id=uuid7(),
        scope_id=world.scope_id,
        type=kind,
        version=1,
        title="The plan",
        content=cast("Any", content),
        schema={},
        execution_id=None,
        step_id=None,
        created_at=world.ports.clock.now(),
        provenance={FILE: {"id": str(file.id)}},
    )
    await world.ports.repositories.documents.save(made)


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("reading", [Reading(), SEES])
async def test_a_document_of_a_file_is_shown_as_the_file_until_it_is_edited(edited: bool, reading: Reading) -> None:
    world = await world_with([PLAN], flow=CHARTER, reading=reading)
    world.script = {"one": [document("As plan.pdf#page=3 says"), document("As plan.pdf#page=2 says")]}
    await add_charter(world, PLAN, "Lend 600 tools." if edited else PLAN.text)
    await world.start("See the charter.")
    assert (await world.run()).steps["one"].attempt == 2  # a citation of it is checked
    assert all(each.is_exact for each in await shown(world))
    [first, _] = world.asked
    assert names(first) == (["plan.pdf"] if reading.pdfs and not edited else [])
    assert ('name="charter">\nLend 600 tools.' in first.prompt) is edited
    assert ('name="charter">\n[plan.pdf#page=1]\nLend 400' in first.prompt) is (not edited and not reading.pdfs)


def long_plan(pages: int) -> BriefFile:
    """Return a file with the name of the plan, and more pages."""
    passages = tuple(Passage(anchor=f"page={number}", text=f"Page {number}.") for number in range(1, pages + 1))
    return replace(PLAN, id=uuid7(), sha256=f"{pages}" * 64, passages=passages, pages=pages)


async def test_an_edited_text_of_a_file_may_be_cited_as_it_cites_itself() -> None:
    charter = long_plan(9)
    world = await world_with([PLAN, charter], flow=CHARTER, reading=Reading())
    await add_charter(world, charter, "By Ann.\n\n[plan.pdf#page=7]\nPage 7.")
    world.script = {"one": [document("As plan.pdf#page=7 and plan-2.pdf#page=9 say")]}
    await world.start({"files": [str(PLAN.id)]})
    assert (await world.run()).steps["one"].attempt == 1


async def test_a_file_has_one_name_in_all_steps() -> None:
    flow = definition(
        {"id": "one", "clarification": {"max_rounds": 1}},
        {"id": "two", "inputs": ["one", "charter"], "clarification": {"max_rounds": 1}},
        scope_documents=["charter"],
    )
    charter, first, second = (long_plan(number) for number in (7, 8, 9))
    world = await world_with([PLAN, charter, first, second], flow=flow, reading=Reading())
    await add_charter(world, charter, charter.text)
    cited = document("As plan.pdf#page=2, plan-2.pdf#page=7, plan-3.pdf#page=8 and plan-4.pdf#page=9 say")
    world.script = {"one": [ASK, cited], "two": [ASK, cited]}
    await world.start({"files": [str(PLAN.id)]})
    for step_id, file in (("one", first), ("two", second)):
        await world.run()
        cast("ManualClock", world.ports.clock).advance(1)
        await answer(world, file.id, [file.id], step_id)
    ended = await world.run()
    assert [step.attempt for step in ended.steps.values()] == [2, 2]
    assert all(each.is_exact for each in await shown(world))
    for request, own in zip(world.asked, ([], [3], [2], [2, 4]), strict=True):
        assert [number for number in (2, 3, 4) if f"[plan-{number}.pdf#page=1]" in request.prompt] == own


async def test_a_step_that_another_one_starts_has_these_names_in_all_its_prompts() -> None:
    flow = definition(
        {"id": "one", "inputs": ["charter"]},
        {"id": "two", "inputs": ["one", "notes"]},
        scope_documents=["charter", "notes"],
    )
    charter, notes = long_plan(7), long_plan(8)
    world = await world_with([PLAN, charter, notes], flow=flow, reading=Reading())
    await add_charter(world, charter, charter.text)
    await add_charter(world, notes, notes.text, "notes")
    world.script = {"one": [document()], "two": [document("As plan-3.pdf#page=9 says"), document()]}
    await world.start({"files": [str(PLAN.id)]})
    assert (await world.run()).steps["two"].attempt == 2
    for request in world.asked[1:]:
        assert "[plan-3.pdf#page=8]" in request.prompt
    assert "plan-3.pdf has 8 pages; page 9 does not exist." in world.asked[2].prompt

"""Templates and house files of workflows: read from the folder, checked, published and used by downloads."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.workflows import plan, step
from tests.unit.rendering.test_house_style import REFUSED, repacked, usual_house
from workflows import loader, repository
from workflows.definitions.definition import DefinitionError

TEMPLATE = "# {{ /title }}\n\nNumber: {{ /zeta }}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow with a template and a house file."""
    made = tmp_path / "catalog" / "note"
    made.mkdir(parents=True)
    source = plan(steps=[step(render={"file": "render.md"})], house={"file": "house.docx"})
    (made / "workflow.yaml").write_text(json.dumps(source), encoding="utf-8")
    (made / "render.md").write_text(TEMPLATE, encoding="utf-8")
    (made / "house.docx").write_bytes(usual_house())
    return made


def errors(folder: Path) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        loader.load_folder(folder)
    return [str(each) for each in caught.value.errors]


@pytest.mark.django_db
def test_a_change_of_the_look_is_a_new_version(folder: Path) -> None:
    out = io.StringIO()
    call_command("load_catalog", catalog=folder.parent, stdout=out)
    first = repository.get_definition("note", 1)
    assert first.steps[0].render == TEMPLATE
    assert repository.house_file(first.house or "") == usual_house()
    (folder / "render.md").write_text(f"{TEMPLATE}\nEnd.\n", encoding="utf-8")
    call_command("load_catalog", catalog=folder.parent, stdout=out)
    (folder / "house.docx").write_bytes(repacked(usual_house(), {"word/a.xml": b"<a/>"}))
    call_command("load_catalog", catalog=folder.parent, stdout=out)
    assert out.getvalue() == "note 1 published\nnote 2 published\nnote 3 published\n"


def test_faults_of_templates_and_house_files_have_file_and_line(folder: Path) -> None:
    (folder / "render.md").write_text("\n\n{{ /titel }}\n\n{{#each /title}}{{/each}}", encoding="utf-8")
    assert errors(folder) == [
        "render.md line 3: /steps/0/render: /titel: the schema has no such field.",
        "render.md line 5: /steps/0/render: /title: {{#each}} needs a list.",
    ]
    (folder / "render.md").write_text(TEMPLATE, encoding="utf-8")
    for data, said in [
        (repacked(usual_house(), REFUSED["attached template"][0]), "attachedTemplate"),
        (b"no zip", "damaged"),
        (repacked(usual_house(), {"docProps/core.xml": b"<a/>"}), "No document can be made"),
    ]:
        (folder / "house.docx").write_bytes(data)
        [error] = errors(folder)
        assert error.startswith("house.docx: /house: ") and said in error, error


def test_a_template_or_house_file_that_is_not_named_is_a_fault(folder: Path, restrict: Callable[..., None]) -> None:
    (folder / "workflow.yaml").write_text(json.dumps(plan()), encoding="utf-8")
    assert [each.partition(": ")[0] for each in errors(folder)] == ["house.docx", "render.md"]
    source = plan(steps=[step(render="{{ /title }}{{")], house={"file": "house.docx"})
    (folder / "workflow.yaml").write_text(json.dumps(source), encoding="utf-8")
    restrict(house_style_bytes=1024)
    assert errors(folder) == ["house.docx: /house: It is larger than 1,024 bytes (MAX_HOUSE_STYLE_BYTES)."]
    (folder / "house.docx").unlink()
    (folder / "workflow.yaml").write_text(json.dumps(plan(steps=source["steps"])), encoding="utf-8")
    assert errors(folder) == ["/steps/0/render: line 1: {{ has no }}."]


@pytest.mark.django_db
def test_an_unknown_house_file_is_not_published() -> None:
    definition = reports.definition().model_copy(update={"house": "0" * 64})
    with pytest.raises(DefinitionError, match="No house file 000000000000"):
        repository.publish(definition, now=timezone.now())


@pytest.mark.django_db
def test_an_unknown_house_file_leaves_the_other_workflows_alone(folder: Path) -> None:
    other = folder.parent / "aaa"
    other.mkdir()
    source = plan(steps=[step()], house="0" * 64) | {"id": "aaa"}
    (other / "workflow.yaml").write_text(json.dumps(source))
    out, told = io.StringIO(), io.StringIO()
    call_command("load_catalog", catalog=folder.parent, skip_faulty=True, stdout=out, stderr=told)
    assert len(out.getvalue().splitlines()) == 1
    assert "aaa: /house: No house file" in told.getvalue()
    with pytest.raises(CommandError, match="No house file"):
        call_command("load_catalog", catalog=folder.parent, stdout=out)


@pytest.mark.django_db
def test_downloads_and_exports_have_the_look_of_their_workflow(
    folder: Path, ada: Caller, restrict: Callable[..., None]
) -> None:
    houses: dict[str, bytes] = {}
    house = loader.load_folder(folder, houses=houses).house
    plain = reports.definition()
    steps = (plain.steps[0].model_copy(update={"render": "Found: {{ /title }}\n\n{{ /points }}"}), *plain.steps[1:])
    looking = plain.model_copy(update={"steps": steps, "house": house})
    repository.publish(looking, now=timezone.now(), house=houses[house or ""])
    done = reports.finish(reports.start(ada.user))
    path = f"/executions/{done.id}/export"
    assert "Found: The findings" in ada.get(f"{path}?format=markdown").content.decode()
    assert header_of(ada.get(f"{path}?format=docx").content) == "ACME"
    repository.publish(plain, now=timezone.now())
    document = f"/documents/{done.steps['research'].document_id}"
    for change in (None, {"content": {"title": "Better findings"}}):
        if change is not None:
            assert ada.put(document, change, If_Match="*").status_code == 200
        assert "Found: " in ada.get(f"{document}?format=markdown").content.decode()
        assert header_of(ada.get(f"{document}?format=docx").content) == "ACME"
    restrict(house_style_bytes=1024)  # it refuses the file that is in use
    assert header_of(ada.get(f"{path}?format=docx").content) == ""


def header_of(data: bytes) -> str:
    return docx.Document(io.BytesIO(data)).sections[0].header.paragraphs[0].text

"""Definitions in folders, and the catalog that ships."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from tests.workflows.plans import SCHEMA, definition, plan, step
from workflows import loader
from workflows.definition import DefinitionError
from workflows.models import Workflow, WorkflowVersion


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow whose texts and schema are files beside it."""
    made = tmp_path / "note"
    made.mkdir()
    (made / "task.md").write_text("Write.", encoding="utf-8")
    (made / "role.md").write_text("You write.", encoding="utf-8")
    (made / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    roles = {"writer": {"name": "Writer", "instructions": {"file": "role.md"}}}
    rewrite(made, roles=roles, steps=[step(task={"file": "task.md"}, output_schema={"file": "schema.json"})])
    return made


def rewrite(folder: Path, **changes: object) -> None:
    (folder / "workflow.yaml").write_text(yaml.safe_dump(plan(**changes)), encoding="utf-8")


def fault(folder: Path) -> tuple[str, str]:
    """Return the only fault of a folder."""
    with pytest.raises(DefinitionError) as caught:
        loader.load_folder(folder)
    (found,) = caught.value.faults
    return found.pointer, found.code


def test_files_stand_for_what_they_hold(folder: Path) -> None:
    assert loader.load_folder(folder) == definition()


def test_a_schema_may_have_a_property_called_file(folder: Path) -> None:
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    schema["$defs"] = {"origin": {"type": "object", "properties": {"file": {"type": "string"}}}}
    rewrite(folder, steps=[step(output_schema=schema)])
    assert loader.load_folder(folder).steps[0].output_schema == schema


@pytest.mark.parametrize("name", ["../secret.md", "/etc/hostname", "sub/../../secret.md", "link.md"])
def test_a_file_outside_the_folder_is_not_read(folder: Path, name: str) -> None:
    (folder.parent / "secret.md").write_text("secret", encoding="utf-8")
    (folder / "link.md").symlink_to(folder.parent / "secret.md")
    rewrite(folder, steps=[step(), step(2, task={"file": name})])
    assert fault(folder) == ("/steps/1/task", "outside_folder")


@pytest.mark.parametrize("name", ["missing.md", ".", "broken.json", "latin.md", "nul\0.md"])
def test_a_file_that_cannot_be_read_is_named_with_its_place(folder: Path, name: str) -> None:
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "latin.md").write_bytes(b"\xff\xfe")
    rewrite(folder, steps=[step(output_schema={"file": name})])
    assert fault(folder) == ("/steps/0/output_schema", "unreadable_file")


@pytest.mark.parametrize("text", [b"a: [", b"\xff\xfe\x00", b"!!python/object:os.system {}"])
def test_a_definition_that_is_no_yaml_is_a_fault_of_the_whole(folder: Path, text: bytes) -> None:
    (folder / "workflow.yaml").write_bytes(text)
    assert fault(folder) == ("", "unreadable_file")


def test_a_fault_in_the_definition_is_named_like_any_other(folder: Path) -> None:
    rewrite(folder, steps=[step(role="nobody")])
    assert fault(folder) == ("/steps/0/role", "unknown_role")


def load(catalog: Path | None = None) -> list[str]:
    """Run the command and return the lines it printed."""
    out = io.StringIO()
    options = {} if catalog is None else {"catalog": catalog}
    call_command("load_catalog", stdout=out, **options)
    return out.getvalue().splitlines()


@pytest.mark.django_db
def test_the_catalog_that_ships_is_published_once_and_loading_it_again_changes_nothing() -> None:
    first = load()
    names = ["meeting-minutes", "software-delivery", "strategy-document", "vendor-assessment"]
    assert first == [f"{name} 1 published" for name in names]
    rows = list(Workflow.objects.order_by("id").values())
    assert load() == [f"{name} 1" for name in names]
    assert list(Workflow.objects.order_by("id").values()) == rows
    assert WorkflowVersion.objects.count() == len(names)


@pytest.mark.django_db
def test_a_changed_folder_is_the_next_version(folder: Path) -> None:
    assert load(folder.parent) == ["note 1 published"]
    (folder / "task.md").write_text("Write more.", encoding="utf-8")
    assert load(folder.parent) == ["note 2 published"]


@pytest.mark.django_db
def test_an_author_is_told_what_the_rehearsal_cannot_write_when_it_is_published(folder: Path) -> None:
    code = {"type": "string", "pattern": "^(?=.*[A-Z])(?=.*[0-9]).{8,}$"}
    schema = {
        "type": "object",
        "required": ["title", "code"],
        "properties": {"title": {"type": "string"}, "code": code},
    }
    rewrite(folder, steps=[step(output_schema=schema)])
    said = io.StringIO()
    call_command("load_catalog", stdout=io.StringIO(), stderr=said, catalog=folder.parent)
    [line] = said.getvalue().splitlines()
    assert line.startswith("note /steps/0/output_schema/properties/code/pattern: The rehearsal cannot write ")
    said = io.StringIO()
    call_command("load_catalog", stdout=io.StringIO(), stderr=said, catalog=folder.parent)
    assert said.getvalue() == ""  # it was published before


@pytest.mark.django_db
def test_a_faulty_folder_is_named_and_nothing_is_published(folder: Path) -> None:
    wrong = folder.parent / "wrong"
    wrong.mkdir()
    rewrite(wrong, id="wrong", steps=[step(role="nobody")])
    with pytest.raises(CommandError, match=r"wrong.*/steps/0/role"):
        load(folder.parent)
    assert Workflow.objects.count() == 0


@pytest.mark.django_db
def test_a_catalog_without_workflows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no folder"):
        load(tmp_path / "missing")


def test_the_catalog_has_a_chain_a_fork_and_a_single_step() -> None:
    shapes = {each.id: sorted(each.levels.values()) for each in loader.load_catalog()}
    assert shapes["strategy-document"] == [0, 1, 2, 3]
    assert shapes["meeting-minutes"] == [0]
    assert shapes["vendor-assessment"] == [0, 0, 0, 1]

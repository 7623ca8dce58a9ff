"""Definitions in folders, and the shipped catalog."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from tests.factories.workflows import SCHEMA, definition, plan, step
from workflows import loader
from workflows.definitions.definition import DefinitionError
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


def field_error(folder: Path) -> tuple[str, str]:
    """Return the only fault of a folder."""
    with pytest.raises(DefinitionError) as caught:
        loader.load_folder(folder)
    (found,) = caught.value.errors
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
    assert field_error(folder) == ("/steps/1/task", "outside_folder")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing.md", "missing_file"),
        (".", "missing_file"),
        ("nul\0.md", "missing_file"),
        ("broken.json", "unreadable_file"),
        ("latin.md", "unreadable_file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_place(folder: Path, name: str, code: str) -> None:
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "latin.md").write_bytes(b"\xff\xfe")
    rewrite(folder, steps=[step(output_schema={"file": name})])
    assert field_error(folder) == ("/steps/0/output_schema", code)


@pytest.mark.parametrize("text", [b"a: [", b"\xff\xfe\x00", b"!!python/object:os.system {}"])
def test_a_definition_that_is_no_yaml_is_a_fault_of_the_whole(folder: Path, text: bytes) -> None:
    (folder / "workflow.yaml").write_bytes(text)
    assert field_error(folder) == ("", "unreadable_file")


def test_a_fault_in_the_definition_is_named_like_any_other(folder: Path) -> None:
    rewrite(folder, steps=[step(role="nobody")])
    assert field_error(folder) == ("/steps/0/role", "unknown_role")


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


def add(catalog: Path, name: str, **changes: object) -> Path:
    """Add a folder with a workflow of this id to a catalog."""
    made = catalog / name
    made.mkdir(exist_ok=True)
    rewrite(made, **{"id": name, **changes})
    return made


FAULTY: dict[str, object] = {"steps": [step(role="nobody", inputs=["missing"])]}


@pytest.mark.django_db
def test_faulty_folders_are_all_named_and_the_others_are_published(folder: Path) -> None:
    for name in ("alpha", "omega", "wrong"):
        add(folder.parent, name)
    add(folder.parent, "broken", **FAULTY)
    (folder.parent / "wrong" / "workflow.yaml").write_text("id: [", encoding="utf-8")
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("load_catalog", catalog=folder.parent, stdout=out)
    assert caught.value.returncode == 1
    said = str(caught.value)
    for expected in ("broken: /steps/0/role: ", "/steps/0/inputs/0: ", "wrong: "):
        assert expected in said
    assert out.getvalue().splitlines() == ["alpha 1 published", "note 1 published", "omega 1 published"]
    assert set(Workflow.objects.values_list("id", flat=True)) == {"alpha", "note", "omega"}


@pytest.mark.django_db
def test_a_workflow_that_becomes_faulty_stays_what_it_was(folder: Path) -> None:
    add(folder.parent, "other")
    load(folder.parent)
    add(folder.parent, "other", **FAULTY)
    (folder / "task.md").write_text("Write more.", encoding="utf-8")
    out, errors = io.StringIO(), io.StringIO()
    call_command("load_catalog", catalog=folder.parent, skip_faulty=True, stdout=out, stderr=errors)
    assert out.getvalue().splitlines() == ["note 2 published"]
    assert "other: /steps/0/role: " in errors.getvalue()
    assert dict(Workflow.objects.values_list("id", "version")) == {"note": 2, "other": 1}


@pytest.mark.django_db
def test_the_same_id_in_two_folders_is_a_fault_that_names_both(folder: Path) -> None:
    twins = [add(folder.parent, name, id="twin") for name in ("one", "two")]
    with pytest.raises(CommandError, match=f"{twins[0]} and {twins[1]}: /id: Duplicate id 'twin'"):
        load(folder.parent)
    assert set(Workflow.objects.values_list("id", flat=True)) == {"note"}


@pytest.mark.django_db
def test_an_older_content_that_comes_back_is_said_to_be_current_again(folder: Path) -> None:
    said = []
    for text in ("Write.", "Write more.", "Write."):
        (folder / "task.md").write_text(text, encoding="utf-8")
        said += load(folder.parent)
    assert said == ["note 1 published", "note 2 published", "note 1 is current again"]


@pytest.mark.django_db
def test_a_catalog_without_workflows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no folder"):
        load(tmp_path / "missing")


def test_the_catalog_has_a_chain_a_fork_and_a_single_step() -> None:
    shapes = {each.id: sorted(each.levels.values()) for each in loader.load_catalog().definitions}
    assert shapes["strategy-document"] == [0, 1, 2, 3]
    assert shapes["meeting-minutes"] == [0]
    assert shapes["vendor-assessment"] == [0, 0, 0, 1]


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
    assert line.startswith("note /steps/0/output_schema/properties/code/pattern: The rehearsal cannot generate ")
    said = io.StringIO()
    call_command("load_catalog", stdout=io.StringIO(), stderr=said, catalog=folder.parent)
    assert said.getvalue() == ""  # it was published before

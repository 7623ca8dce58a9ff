"""The files of a workflow folder: accepted ones, and messages about others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories.workflows import SCHEMA, plan
from workflows import loader
from workflows.definitions.definition import DefinitionError

TEXT = """\
id: note
name: Note
description: Writes a note.
roles:
  writer: {name: Writer, instructions: {file: role.md}}
steps:
  - id: step-1
    name: Step 1
    role: writer
    task: Write.
    produces: paper-1
    output_schema: {file: schema.json}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow with a role and a schema in files of their own."""
    made = tmp_path / "catalog" / "note"
    made.mkdir(parents=True)
    (made / "workflow.yaml").write_text(TEXT, encoding="utf-8")
    (made / "role.md").write_text("You write.", encoding="utf-8")
    (made / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    return made


def change(folder: Path, old: str, new: str) -> None:
    (folder / "workflow.yaml").write_text(TEXT.replace(old, new), encoding="utf-8")


def errors(folder: Path) -> list[tuple[str, str, str | None, int | None]]:
    with pytest.raises(DefinitionError) as caught:
        loader.load_folder(folder)
    for each in caught.value.errors:
        assert str(each) in str(caught.value)
    return [
        (each.pointer, each.code, getattr(each, "file", None), getattr(each, "line", None))
        for each in caught.value.errors
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    task: Write.", "    task: Write.\n    task: Again.", ("/steps/0/task", 11)),
        ("roles:", "roles:\n  writer: {}", ("/roles/writer", 6)),
        ("id: note", "id: note\nid: other", ("/id", 2)),
        (
            "{file: schema.json}",
            "{type: object, properties: {a: true, a: false}}",
            ("/steps/0/output_schema/properties/a", 12),
        ),
    ],
)
def test_a_name_that_stands_twice_is_a_fault_with_its_place(
    folder: Path, old: str, new: str, expected: tuple[str, int]
) -> None:
    change(folder, old, new)
    assert errors(folder) == [(expected[0], "duplicate_key", "workflow.yaml", expected[1])]


@pytest.mark.parametrize("name", ["schema.json", "schema.yaml"])
def test_a_name_that_stands_twice_in_a_schema_file_is_a_fault_with_its_place(folder: Path, name: str) -> None:
    change(folder, "schema.json", name)
    (folder / name).write_text('{"type": "object",\n"properties": {\n"a": true,\n"a": false}}', encoding="utf-8")
    [(where, code, file, line)] = errors(folder)
    assert (where.removesuffix("/properties/a"), code, file, line) == (
        "/steps/0/output_schema",
        "duplicate_key",
        name,
        4,
    )


def test_every_file_with_faults_is_named(folder: Path) -> None:
    (folder / "schema.json").write_text("{", encoding="utf-8")
    (folder / "role.md").write_bytes(b"\xff\xfeY\x00")
    assert errors(folder) == [
        ("/roles/writer/instructions", "unreadable_file", "role.md", None),
        ("/steps/0/output_schema", "unreadable_file", "schema.json", 1),
    ]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("task: Write.", "task: Use ticket #5", "/steps/0/task"),
        ("task: Write.", "task: Write.  # for now", "/steps/0/task"),
        ("Writes a note.", "Writes note #1 first.", "/description"),
        ("{file: role.md}}", "You like\n    the colour #ff0000\n  }", "/roles/writer/instructions"),
        ("Write.", "Write.\n    review: {rubric: See #3\n    }", "/steps/0/review/rubric"),
        (
            "{file: schema.json}",
            "\n      type: object\n      properties:\n        title: {type: string}\n      description: As in #5",
            "/steps/0/output_schema/description",
        ),
    ],
)
def test_a_text_that_yaml_cuts_at_a_comment_is_a_fault_with_its_line(
    folder: Path, old: str, new: str, where: str
) -> None:
    change(folder, old, new)
    line = next(at for at, text in enumerate(TEXT.replace(old, new).split("\n"), start=1) if " #" in text)
    [(pointer, code, file, found)] = errors(folder)
    assert (pointer, code, file) == (where, "cut_text", "workflow.yaml")
    assert found is not None and line - 1 <= found <= line  # a text is named by the line in which it begins


@pytest.mark.parametrize("new", ['task: "Use ticket #5"', "task: >-\n      Use ticket #5", "task: Use #5"])
def test_a_text_between_quotes_keeps_what_looks_like_a_comment(folder: Path, new: str) -> None:
    change(folder, "task: Write.", new.replace("Use #5", "Use#5"))
    assert "#5" in loader.load_folder(folder).steps[0].task


def test_comments_behind_what_is_no_prose_are_comments(folder: Path) -> None:
    change(
        folder,
        "    produces: paper-1",
        "    produces: paper-1   # one\n    max_attempts: 2 # two\n    model: fast # three",
    )
    assert loader.load_folder(folder).steps[0].model == "fast"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("schema", ["schema.json", "schema.yaml", "schema.YML"])
def test_schemas_are_json_or_yaml_and_a_byte_order_mark_is_dropped(folder: Path, encoding: str, schema: str) -> None:
    for name in ("workflow.yaml", "role.md"):
        (folder / name).write_bytes((folder / name).read_text(encoding="utf-8").encode(encoding))
    (folder / "schema.json").unlink()
    (folder / schema).write_bytes(json.dumps(SCHEMA).encode(encoding))
    (folder / "workflow.yaml").write_bytes(TEXT.replace("schema.json", schema).encode(encoding))
    found = loader.load_folder(folder)
    assert found.roles["writer"].instructions == "You write."
    assert found.steps[0].output_schema == SCHEMA


@pytest.mark.parametrize("name", ["task.json", "task.yaml", "task.md", "task"])
def test_a_text_is_the_text_of_a_file_whatever_its_name(folder: Path, name: str) -> None:
    (folder / name).write_text('{"say": "this"}  # and this', encoding="utf-8")
    change(folder, "task: Write.", f"task: {{file: {name}}}")
    assert loader.load_folder(folder).steps[0].task == '{"say": "this"}  # and this'


@pytest.mark.parametrize("name", ["schema.jsonc", "schema.json5"])
def test_json_with_comments_is_refused_with_what_to_write(folder: Path, name: str) -> None:
    (folder / name).write_text("{} // x", encoding="utf-8")
    change(folder, "schema.json", name)
    assert errors(folder) == [("/steps/0/output_schema", "unreadable_file", name, None)]


def test_a_definition_may_be_called_yml_and_there_is_one(folder: Path) -> None:
    (folder / "workflow.yml").write_text(TEXT, encoding="utf-8")
    assert errors(folder) == [("", "two_definitions", None, None)]
    (folder / "workflow.yaml").unlink()
    assert loader.load_catalog(folder.parent).definitions == (loader.load_folder(folder),)


@pytest.mark.parametrize("name", ["other/Workflow.YAML", "other/workflow.jsonc", "other/flow.yaml", "loose.yml"])
def test_what_looks_like_a_workflow_is_not_passed_over_in_silence(folder: Path, name: str) -> None:
    catalog = folder.parent
    (catalog / "empty").mkdir()
    (catalog / "shared").mkdir()
    (catalog / "shared" / "style.md").write_text("Plain words.", encoding="utf-8")
    (catalog / "README.md").write_text("About.", encoding="utf-8")
    assert loader.load_catalog(catalog).errors == ()
    (catalog / name).parent.mkdir(exist_ok=True)
    (catalog / name).write_text(TEXT, encoding="utf-8")
    read = loader.load_catalog(catalog)
    [error] = read.errors
    assert "workflow.yaml" in error and Path(name).name in error
    assert len(read.definitions) == 1


def test_the_files_of_a_folder_have_a_limit_together(folder: Path, restrict: Callable[..., None]) -> None:
    restrict(definition_bytes=2048)
    (folder / "role.md").write_text("x" * 2000, encoding="utf-8")
    assert [each[:3] for each in errors(folder)] == [
        ("/roles/writer/instructions", "too_large", "role.md"),
        ("/steps/0/output_schema", "too_large", "schema.json"),
    ]


def test_words_that_yaml_1_1_took_for_booleans_are_texts(folder: Path) -> None:
    fields = "{title: {type: string}, land: {enum: [NO, SE, yes, on]}, on: {}}"
    schema = f"{{type: object, required: [title], properties: {fields}}}"
    change(folder, "{file: schema.json}", schema)
    properties = loader.load_folder(folder).steps[0].output_schema["properties"]
    assert isinstance(properties, dict)
    assert (properties["land"], list(properties)) == ({"enum": ["NO", "SE", "yes", "on"]}, ["title", "land", "on"])


def test_a_plan_in_json_is_one_in_yaml(folder: Path) -> None:
    (folder / "workflow.yaml").write_text(json.dumps(plan()), encoding="utf-8")
    assert loader.load_folder(folder).id == "note"

"""Hostile definitions: a fault with its file soon, and nothing outside of the temporary folder."""

from __future__ import annotations

import io
import json
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from common.limits import limits
from tests.factories.workflows import plan, step
from workflows.definitions.definition import DefinitionError
from workflows.errors import FieldErrorInFile
from workflows.exchange.uploads import Form, read_upload

CPU_SECONDS = 2.0
MIB = 1024 * 1024
MAIN = yaml.safe_dump(plan(), sort_keys=False)


def packed(files: Mapping[Any, str | bytes]) -> bytes:
    """Return an archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Return a schema that doubles with each reference."""
    parts = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {**step()["output_schema"], "$defs": {**parts, f"d{levels}": True}, "not": {"$ref": "#/$defs/d0"}}


def large_pattern(number: int) -> dict[str, Any]:
    """Return a step whose schema has a pattern that takes 20 ms to be compiled."""
    properties = {"title": {"type": "string", "pattern": "((a{1,100}){1,100}){1,50}"}}
    schema = {"type": "object", "required": ["title"], "properties": properties}
    return step(id=f"s{number}", produces=f"d{number}", output_schema=schema)


def including(file: str) -> str:
    return yaml.safe_dump({**plan(), "steps": [step(output_schema={"file": file})]}, sort_keys=False)


CASES: dict[str, tuple[Form, Callable[[], bytes], str, str | None]] = {
    "2 MB of JSON": (Form.JSON, lambda: b"[" * 2 * MIB, "too_large", "workflow.json"),
    "1 MB of brackets": (Form.JSON, lambda: b"[" * (MIB - 1), "too_deep", "workflow.json"),
    "1 MB of numbers": (Form.JSON, lambda: b"[" + b"1," * 500_000 + b"1]", "too_large", "workflow.json"),
    "no JSON": (Form.JSON, lambda: b"", "unreadable_file", "workflow.json"),
    "many steps": (
        Form.JSON,
        lambda: json.dumps(plan(steps=[{}] * 30_000)).encode(),
        "too_long",
        "workflow.json",
    ),
    "many roles": (
        Form.JSON,
        lambda: json.dumps(plan(roles={f"r{n}": {} for n in range(30_000)})).encode(),
        "too_long",
        "workflow.json",
    ),
    "many names": (
        Form.JSON,
        lambda: json.dumps({**plan(), **{f"x{n}": 1 for n in range(30_000)}}).encode(),
        "extra_forbidden",
        "workflow.json",
    ),
    "1 MB of YAML": (Form.YAML, lambda: b"- a\n" * 260_000, "too_large", "workflow.yaml"),
    "a YAML bomb": (Form.YAML, lambda: aliases(12).encode(), "too_large", "workflow.yaml"),
    "deep YAML": (Form.YAML, lambda: b"[" * 500_000, "too_deep", "workflow.yaml"),
    "UTF-16": (Form.YAML, lambda: MAIN.encode("utf-16"), "unreadable_file", "workflow.yaml"),
    "a file of the server": (Form.YAML, lambda: including("/etc/hostname").encode(), "outside_folder", "workflow.yaml"),
    "a file above": (Form.YAML, lambda: including("../../etc/passwd").encode(), "outside_folder", "workflow.yaml"),
    "a missing file": (Form.YAML, lambda: including("nope.json").encode(), "missing_file", "workflow.yaml"),
    "U+0000": (Form.YAML, lambda: MAIN.replace("name", "na\0me", 1).encode(), "unreadable_file", "workflow.yaml"),
    "a deep schema": (
        Form.JSON,
        lambda: json.dumps(plan(steps=[step(output_schema=nested(60))])).encode(),
        "too_deep",
        "workflow.json",
    ),
    "an endless schema": (
        Form.JSON,
        lambda: json.dumps(plan(steps=[step(output_schema=doubling(25))])).encode(),
        "schema_too_large",
        "workflow.json",
    ),
    "a schema of itself": (
        Form.JSON,
        lambda: json.dumps(plan(steps=[step(output_schema={"$ref": "#"})])).encode(),
        "circular_schema",
        "workflow.json",
    ),
    "one large pattern in many schemas": (
        Form.JSON,
        lambda: json.dumps(plan(steps=[large_pattern(n) for n in range(200)])).encode(),
        "costly_pattern",
        "workflow.json",
    ),
    "no archive": (Form.ZIP, lambda: b"PK\x03\x04" * 1000, "unreadable_archive", "workflow.zip"),
    "a zip bomb": (Form.ZIP, lambda: packed({"workflow.yaml": b"a" * 7 * MIB}), "too_large", "workflow.zip"),
    "many files": (
        Form.ZIP,
        lambda: packed({f"f{n}": "" for n in range(limits().definition_files + 1)}),
        "too_many_files",
        "workflow.zip",
    ),
    "a path out": (Form.ZIP, lambda: packed({"x/../../workflow.yaml": MAIN}), "outside_folder", "workflow.zip"),
    "an absolute path": (Form.ZIP, lambda: packed({"/srv/workflow.yaml": MAIN}), "outside_folder", "workflow.zip"),
    "a link": (
        Form.ZIP,
        lambda: packed({"workflow.yaml": including("a.json"), link("a.json"): "/etc/passwd"}),
        "link",
        "workflow.zip",
    ),
    "one name twice": (
        Form.ZIP,
        lambda: packed({"workflow.yaml": MAIN, "Workflow.yaml": MAIN}),
        "duplicate_file",
        "workflow.zip",
    ),
    "a file as a folder": (
        Form.ZIP,
        lambda: packed({"workflow.yaml": MAIN, "a": "x", "a/b": "y"}),
        "unreadable_archive",
        "a/b",
    ),
    "no definition": (Form.ZIP, lambda: packed({"readme.md": "x"}), "unreadable_file", "workflow.yaml"),
    "large files together": (
        Form.ZIP,
        lambda: packed(
            {
                "workflow.yaml": MAIN + "x:\n" + "".join(f"- {{file: {n}.yaml}}\n" for n in range(12)),
                **{f"{n}.yaml": "- 1\n" * 20_000 for n in range(12)},
            }
        ),
        "too_large",
        "1.yaml",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_definition_is_a_fault_soon(name: str) -> None:
    form, make, code, file = CASES[name]
    data = make()
    began = time.thread_time()
    with pytest.raises(DefinitionError) as caught:
        read_upload(data, form)
    assert time.thread_time() - began < CPU_SECONDS
    first = caught.value.errors[0]
    assert (first.code, getattr(first, "file", None)) == (code, file)
    assert form is Form.ZIP or first.line >= 1  # type: ignore[attr-defined]


def fault_of(data: bytes, form: Form) -> tuple[str, int | None, str, str]:
    """Return the file, line, place and sentence of the one fault of a definition."""
    with pytest.raises(DefinitionError) as caught:
        read_upload(data, form)
    [fault] = caught.value.errors
    assert isinstance(fault, FieldErrorInFile)
    return fault.file, fault.line, fault.pointer, fault.detail


def test_a_file_that_is_missing_is_a_fault_of_the_line_that_names_it() -> None:
    text = including("nope.json")
    line = text[: text.index("output_schema")].count("\n") + 1
    place, missing = "/steps/0/output_schema", "There is no file 'nope.json' in the workflow's folder."
    assert fault_of(packed({"workflow.yaml": text}), Form.ZIP) == ("workflow.yaml", line, place, missing)
    hint = " A text has no folder: write the content here, or send the folder as zip."
    assert fault_of(text.encode(), Form.YAML) == ("workflow.yaml", line, place, missing + hint)


def test_a_character_that_yaml_does_not_have_is_named_with_its_line() -> None:
    for text in ("a: b\nc: d\0", "a: b\n" * 500 + "c: \x07"):
        number, character = text.count("\n") + 1, ord(text[-1])
        detail = f"It is not valid YAML: the character U+{character:04X} is not allowed."
        assert fault_of(text.encode(), Form.YAML) == ("workflow.yaml", number, "", detail)


def test_faults_of_the_structure_are_told_in_words() -> None:
    wrong = {"steps": [{**step(), "tsk": "x", "name": 3}], "roles": []}
    with pytest.raises(DefinitionError) as caught:
        read_upload(json.dumps({**plan(), **wrong}).encode(), Form.JSON)
    assert {each.pointer: each.detail for each in caught.value.errors} == {
        "/roles": "Expected a mapping of names to values.",
        "/steps/0/name": "Expected a text.",
        "/steps/0/tsk": "There is no field `tsk` here.",
    }
    for steps, detail in (("[]", "The least number of items is 1."), ("x", "Expected a list.")):
        text = f"id: x\nname: x\ndescription: x\nroles: {{r: {{name: r, instructions: i}}}}\nsteps: {steps}"
        assert fault_of(text.encode(), Form.YAML) == ("workflow.yaml", 5, "/steps", detail)


def test_a_packed_folder_may_have_its_own_name_and_clutter() -> None:
    files: dict[str | zipfile.ZipInfo, str | bytes] = {
        "note/workflow.yaml": MAIN,
        "__MACOSX/note/._workflow.yaml": "\0",
        "note/.DS_Store": "\0",
    }
    assert read_upload(packed(files), Form.ZIP).definition.id == "note"

"""Exported folders: what is read back is the same version, whatever the texts are."""

from __future__ import annotations

from tests.factories.workflows import SCHEMA, definition, step
from workflows.exchange.folders import write_folder, write_zip
from workflows.exchange.uploads import Form, read_upload

ODD = [
    *("yes", "no", "null", "~", "1e5", "0o17", "0x1f", "012", "1_000", "12:30", "2026-01-01", ".5", "1.", "-", "<<"),
    *("a: b", "a #b", "# a", "- a", "? a", "[a", "{a", "*a", "&a", "!a", "%a", "@a", "`a", "'a", '"a', "|", ">", "a:"),
    *("a\nb", "a\n\nb", "a\r\nb", "a\tb", "ü€😀", "a\u0085b", "a\u2028b", "\ufeffa", "a\u200bb", "\x1f", "a\x7fb"),
    "word " * 60,
    "---\na",
]


def test_an_exported_folder_is_the_same_version() -> None:
    for text in ODD:
        schema = {**SCHEMA, "description": text, "properties": {**SCHEMA["properties"], text: {"enum": [text, 1.0, 1]}}}
        made = definition(
            name=text[:100],
            description=text,
            roles={"writer": {"name": text[:80], "instructions": text}},
            steps=[step(task=text, description=text, output_schema=schema, review={"rubric": text})],
            budget={"max_cost_usd": "1.50", "max_seconds": 60},
        )
        again = read_upload(write_zip(made, house=None), Form.ZIP).definition
        assert (again, again.content_hash()) == (made, made.content_hash()), repr(text)


def test_a_folder_has_files_for_what_people_write() -> None:
    files = write_folder(definition(steps=[step(render="# {{ /title }}\n")]), house=None)
    written = {"roles/writer.md", "prompts/step-1.md", "templates/step-1.md", "schemas/step-1.json"}
    assert files.keys() == {*written, "workflow.yaml"}
    assert files["templates/step-1.md"] == b"# {{ /title }}\n"
    assert all(f"file: {name}".encode() in files["workflow.yaml"] for name in written)

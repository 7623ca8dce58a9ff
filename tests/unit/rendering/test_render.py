"""The same bytes on any day, in any process; limits of the process that renders; every shipped workflow."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from common import limits
from documents.rendering.errors import (
    HouseStyleError,
    RenderingBusy,
    RenderingError,
    RenderingLimitExceeded,
    TemplateError,
)
from documents.rendering.formats import FORMATS, file_name, render_here
from documents.rendering.limited_process import _slots
from documents.rendering.render import render
from documents.rendering.sources import ExecutionSource, from_plain, to_plain
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from tests.e2e.processes import ROOT
from tests.factories.rendering import (
    document,
    docx_headings,
    execution,
    flat,
    heading_texts,
    hostile_document,
    pdf_text,
    zip_entries,
)
from workflows.definitions.definition import WorkflowDefinition
from workflows.loader import folders, load_folder

CATALOG = [load_folder(folder) for folder in folders()]
HASHES = """
import hashlib, json, sys
from documents.rendering.formats import FORMATS, render_here
from documents.rendering.sources import from_plain
source = from_plain(json.load(sys.stdin))
print(json.dumps({name: hashlib.sha256(render_here(source, name)).hexdigest() for name in FORMATS}))
"""


@pytest.fixture
def bounds() -> Iterator[limits.Limits]:
    """Give the limits back after a test that changes them."""
    before = limits.limits()
    yield before
    limits.configure(before)


def test_two_processes_make_the_same_bytes() -> None:
    items = [{"title": f"Item {number}", "text": "Some *text*. " * 40, "n": number} for number in range(5)]
    source = execution(hostile_document(), document({"items": items}))
    made = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"Etc/GMT+{seed}"}
        command = [sys.executable, "-c", HASHES]
        job = json.dumps(to_plain(source))
        done = subprocess.run(command, input=job, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        made.append(json.loads(done.stdout))
    assert made[0] == made[1]
    assert set(made[0]) == set(FORMATS)
    assert made[0]["pdf"] == hashlib.sha256(render(source, "pdf")).hexdigest()  # in a process of its own


@pytest.mark.parametrize("definition", CATALOG, ids=[each.id for each in CATALOG])
def test_every_shipped_workflow_renders_in_all_formats(definition: WorkflowDefinition) -> None:
    documents = []
    for step in definition.steps:
        schema = dict(step.output_schema)
        content: Any = DocumentGenerator(Facts(()), root=schema, document_type=step.produces).write()
        assert jsonschema_rs.validator_for(schema).is_valid(content)
        documents.append(document(content, schema, name=step.produces, title=content["title"]))
    source = execution(*documents)
    headings = [flat(heading) for heading in heading_texts(source)]
    assert len(headings) > 2 * len(documents)
    text = pdf_text(render_here(source, "pdf")).replace(" ", "")
    assert all(heading.replace(" ", "") in text for heading in headings)
    assert docx_headings(render_here(source, "docx")) == headings
    assert len(re.findall("^#+ ", render_here(source, "markdown").decode(), re.MULTILINE)) == len(headings)
    assert len(re.findall("<h[1-6]", render_here(source, "html").decode())) == len(headings)


def test_a_zip_file_has_every_document_twice_with_a_manifest() -> None:
    source = execution(
        document({"a": "ü"}, record={"type": "report"}),
        document("Second", name="stories@E 1", title="Second | [x]"),
        record={"status": "completed"},
        files=(("brief.md", "A harbour."),),
    )
    made = render(source, "zip")
    entries = zip_entries(made)
    assert list(entries) == sorted(entries)
    assert set(entries) == {
        *(f"01-report.{kind}" for kind in ("json", "md")),
        *(f"02-stories-E-1.{kind}" for kind in ("json", "md")),
        "brief.md",
        "index.md",
        "manifest.json",
    }
    assert json.loads(entries["01-report.json"]) == {"a": "ü"}
    assert b"2. Second \\| \\[x\\]: [Markdown](02-stories-E-1.md), [JSON]" in entries["index.md"]
    assert b"[brief.md](brief.md)" in entries["index.md"]
    manifest = json.loads(entries["manifest.json"])
    assert (manifest["status"], manifest["documents"][0]["type"]) == ("completed", "report")
    for part in (manifest, *manifest["documents"]):
        assert part["files"] == {name: hashlib.sha256(entries[name]).hexdigest() for name in part["files"]}
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_source_goes_to_another_process_and_back() -> None:
    schema = {"type": "array"}
    documents = (document([1, None], schema, template="x", language="de"), document([], schema, record={"a": 1}))
    source = execution(hostile_document(), *documents, record={"b": 2}, files=(("brief.md", "A harbour."),))
    assert from_plain(json.loads(json.dumps(to_plain(source)))) == source
    assert isinstance(source, ExecutionSource)
    assert from_plain(to_plain(source.documents[0])) == source.documents[0]


@pytest.mark.parametrize(
    ("name", "stem"), [("a/b c", "a-b-c"), ("..", "document"), ("x" * 200, "x" * 80), ("漢", "document")]
)
def test_names_of_files_are_harmless(name: str, stem: str) -> None:
    assert file_name(document("x", name=name)) == stem


def test_errors_of_the_other_process_are_raised_here() -> None:
    with pytest.raises(HouseStyleError, match="damaged"):
        render(document("x"), "docx", house=b"x")
    with pytest.raises(HouseStyleError, match="at most"):
        render(document("x"), "docx", house=b"x" * (limits.limits().house_style_bytes + 1))
    with pytest.raises(RuntimeError, match="no format"):  # a fault of ours is not hidden
        render(document("x"), "nonsense")


def test_a_document_that_needs_too_much_time_is_refused(bounds: limits.Limits) -> None:
    limits.configure(replace(bounds, rendering_seconds=1))
    with pytest.raises(RenderingLimitExceeded, match="more time or memory"):
        render(document(["*a* [b](http://x.example) `c` " * 200] * 300), "pdf")


def test_a_document_that_needs_too_much_memory_is_refused(bounds: limits.Limits) -> None:
    limits.configure(replace(bounds, rendering_memory_bytes=180 * 1024 * 1024))
    with pytest.raises(RenderingLimitExceeded, match="more time or memory"):
        render(document([{"a": number, "b": "x"} for number in range(3_000)]), "pdf")


def test_all_processes_in_use_is_an_error_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("documents.rendering.limited_process._WAIT_SECONDS", 0.01)
    taken = 0
    while _slots().acquire(blocking=False):
        taken += 1
    try:
        with pytest.raises(RenderingBusy):
            render(document("x"), "pdf")
    finally:
        _slots().release(taken)
    assert taken == limits.limits().rendering_processes
    assert render(document("x"), "pdf").startswith(b"%PDF-1.7")


def test_large_pages_are_made_by_the_other_process_with_the_same_bytes() -> None:
    source = document({"text": "Some words of a long text. " * 5_000 + "*end*"})
    assert render(source, "markdown") == render_here(source, "markdown")


def test_templates_are_filled_within_the_limits(bounds: limits.Limits) -> None:
    limits.configure(replace(bounds, rendering_seconds=1))
    texts = {"items": list(range(90)), "text": "*a* [b](http://x.example) `c` " * 1_000}
    with pytest.raises(RenderingLimitExceeded, match="more time or memory"):
        render(document(texts, template="{{#each /items}}\n\n{{ /text }}\n\n{{/each}}"), "html")


def test_a_web_process_loads_no_heavy_library() -> None:
    code = (
        "import sys, documents.rendering.render as r\n"
        "heavy = {'typst', 'docx', 'lxml', 'django', 'markdown_it'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "error", [RenderingError, RenderingLimitExceeded, RenderingBusy, HouseStyleError, TemplateError]
)
def test_errors_have_codes_of_their_own(error: type[RenderingError]) -> None:
    kinds: list[type[RenderingError]] = [RenderingError, *RenderingError.__subclasses__()]
    assert [each for each in kinds if each.code == error.code] == [error]


@pytest.mark.torture
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "content",
    [
        [{"id": number, "text": "word " * 15, "ok": True} for number in range(10_000)],
        [f"text *x* {number}" for number in range(10_000)],
        {"word": "W" * 100_000, "rows": [{"a": "W" * 240, "b": 1}], "list": ["Q" * 100_000]},
        {"text": "Some **bold** text with `code` and [a link](http://x.example).\n\n" * 20_000},
        {"code": "```\n" + "x = 1\n" * 30_000},
    ],
    ids=["rows", "items", "words", "text", "code"],
)
def test_large_documents_render(content: object, name: str) -> None:
    assert render(document(content), name)


@pytest.mark.torture
@pytest.mark.parametrize("name", FORMATS)
def test_the_deepest_document_renders(name: str) -> None:
    content: object = "leaf"
    for level in range(30):
        content = {f"level {level}": [content, level]}
    assert render(document(content), name)

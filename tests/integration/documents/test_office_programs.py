"""Other programs open our files: LibreOffice converts the DOCX, `pdftotext` reads both PDF files."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import docx
import pytest

from documents.rendering.formats import render_here
from documents.rendering.sources import ExecutionSource
from documents.rendering.writers.docx_body import MAIN
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from tests.factories.rendering import document, execution, flat, heading_texts, hostile_document
from tests.unit.rendering.test_house_style import usual_house
from workflows.loader import folders, load_folder

pytestmark = pytest.mark.office


def catalog() -> ExecutionSource:
    """Return a document of each step of each shipped workflow."""
    documents = []
    for definition in map(load_folder, folders()):
        for step in definition.steps:
            schema = dict(step.output_schema)
            content: Any = DocumentGenerator(Facts(()), root=schema, document_type=step.produces).write()
            documents.append(document(content, schema, name=step.produces, title=content["title"]))
    return execution(*documents)


def text_of_pdf(path: Path) -> str:
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, text=True, check=True)
    return flat(done.stdout).replace(" ", "")


def converted(path: Path) -> Path:
    """Return the PDF that LibreOffice makes of a DOCX."""
    profile = f"-env:UserInstallation={(path.parent / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", str(path.parent / "out"), str(path)]
    subprocess.run(command, capture_output=True, check=True, timeout=300)
    return path.parent / "out" / f"{path.stem}.pdf"


def test_every_heading_is_found_by_other_programs(tmp_path: Path) -> None:
    source = catalog()
    (tmp_path / "ours.pdf").write_bytes(render_here(source, "pdf"))
    (tmp_path / "written.docx").write_bytes(render_here(source, "docx"))
    headings = [flat(heading).replace(" ", "") for heading in heading_texts(source)]
    for path in (tmp_path / "ours.pdf", converted(tmp_path / "written.docx")):
        text = text_of_pdf(path)
        assert [heading for heading in headings if heading not in text] == []


@pytest.mark.parametrize("house", [None, usual_house()], ids=["plain", "house"])
def test_no_row_is_lost_where_a_page_ends(tmp_path: Path, house: bytes | None) -> None:
    written = render_here(catalog(), "docx", house=house)
    (tmp_path / "written.docx").write_bytes(written)
    texts = [each.text or "" for each in docx.Document(io.BytesIO(written)).element.body.iter(f"{{{MAIN}}}t")]
    word = "rehearsal"  # in almost every cell
    assert text_of_pdf(converted(tmp_path / "written.docx")).count(word) == "".join(texts).count(word) > 200


def test_a_hostile_document_is_converted(tmp_path: Path) -> None:
    (tmp_path / "hostile.docx").write_bytes(render_here(hostile_document(), "docx"))
    assert "<script>alert(1)</script>" in text_of_pdf(converted(tmp_path / "hostile.docx"))

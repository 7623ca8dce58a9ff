"""Downloads over HTTP, as other programs show them: LibreOffice prints the DOCX, and each page is looked at."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status
from tests.factories.rendering import docx_headings, flat
from tests.factories.workflows import plan, step
from tests.integration.documents.test_office_programs import converted
from tests.unit.rendering.test_house_style import usual_house

pytestmark = [pytest.mark.e2e, pytest.mark.office]

AUTHOR = "rosa"
PARTS = 24
NARROW = ("medium", "constraint", "personal")  # values of narrow columns, the longest words there
DPI = 50
EDGE = round(5 / 25.4 * DPI)  # pixels of 5 mm
PAPER, INK = 250, 128  # shades of grey: at least, at most


def _schema() -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": "string"}, "description": "What belongs together."}
    columns = {name: {"type": "string"} for name in ("name", "effect", "basis", "sensitivity", "answer")}
    rows = {"type": "array", "items": {"type": "object", "properties": columns}, "description": "Each of its rows."}
    part = {"title": {"type": "string"}, "goal": {"type": "string"}, "texts": texts, "rows": rows}
    parts = {"type": "array", "items": {"type": "object", "properties": part}}
    return {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}, "parts": parts}}


def _content() -> tuple[dict[str, Any], list[str]]:
    """Return a document with pages that end at every kind of place, and its words, each of which it has once."""
    numbers, words = count(1), []

    def word() -> str:
        words.append(f"word{next(numbers):04}.")
        return words[-1]

    def row() -> dict[str, str]:
        values = dict(zip(("effect", "basis", "sensitivity"), NARROW, strict=True))
        return {"name": " ".join(word() for _ in range(4)), **values, "answer": " ".join(word() for _ in range(9))}

    parts = [
        {
            "title": f"Part {word()}",
            "goal": " ".join(word() for _ in range(15)),
            "texts": [word() for _ in range(number % 4)],
            "rows": [row() for _ in range(1 + number % 7)],
        }
        for number in range(PARTS)
    ]
    return {"title": "Harbour", "parts": parts}, words


def _publish(client: httpx.Client, house: bytes | None) -> None:
    changes: dict[str, Any] = {"steps": [step(acceptance={}, output_schema=_schema())]}
    files = {"note/workflow.yaml": json.dumps(plan(**changes | ({"house": {"file": "house.docx"}} if house else {})))}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in (files | ({"note/house.docx": house} if house else {})).items():
            archive.writestr(name, data)
    response = client.post("/workflows/", content=made.getvalue(), headers={"Content-Type": "application/zip"})
    assert response.status_code == 201, response.text


def _accepted(client: httpx.Client, content: dict[str, Any], key: str) -> tuple[str, str]:
    """Return an execution whose one document a person has replaced by this content, and the document."""
    execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="note", key=key)
    wait_for_status(client, execution_id, "waiting")
    body = {"decision": "accept", "document_version": 1, "content": content}
    accepted = client.post(f"/executions/{execution_id}/steps/step-1/acceptance", json=body)
    assert accepted.status_code == 200, accepted.text
    wait_for_status(client, execution_id, "completed")
    [found] = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
    return execution_id, found["id"]


def _download(client: httpx.Client, path: str, name: str) -> bytes:
    response = client.get(path, params={"format": name})
    assert response.status_code == 200, response.text
    return response.content


def _pages(pdf: Path) -> list[Image.Image]:
    subprocess.run(["pdftoppm", "-gray", "-r", str(DPI), str(pdf), str(pdf.with_suffix(""))], check=True)
    return [Image.open(each) for each in sorted(pdf.parent.glob(f"{pdf.stem}-*.pgm"))]


def _check_picture(page: Image.Image) -> None:
    """Check that a page has a text above its footer, and that nothing reaches its edges."""
    width, height = page.size
    assert _darkest(page, (0, height // 8, width, height * 7 // 8)) <= INK
    for edge in ((0, 0, width, EDGE), (0, height - EDGE, width, height), (0, 0, EDGE, height)):
        assert _darkest(page, edge) >= PAPER
    assert _darkest(page, (width - EDGE, 0, width, height)) >= PAPER


def _darkest(page: Image.Image, box: tuple[int, int, int, int]) -> int:
    """Return the darkest shade of grey in a part of a page."""
    return min(page.crop(box).tobytes())


def _check_pdf(path: Path, headings: list[str], words: list[str]) -> None:
    """Check that a PDF has each heading and each word, breaks no short word, and looks like a text on each page."""
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, text=True, check=True)
    text = flat(done.stdout)
    packed = text.replace(" ", "")
    assert [each for each in headings if each.replace(" ", "") not in packed] == []
    assert [each for each in words if each not in packed] == []
    rows = sum(1 + number % 7 for number in range(PARTS))
    assert [text.split().count(each) for each in NARROW] == [rows] * len(NARROW)
    pages = _pages(path)
    assert len(pages) > 5
    for page in pages:
        _check_picture(page)


def test_documents_and_executions_are_whole_on_pages_of_other_programs(fresh: Machine, tmp_path: Path) -> None:
    content, words = _content()
    fresh.serve()
    with fresh.client(AUTHOR) as client:
        for look, house in (("plain", None), ("house", usual_house())):
            _publish(client, house)
            execution_id, document_id = _accepted(client, content, look)
            for what, path in (("one", f"/documents/{document_id}"), ("all", f"/executions/{execution_id}/export")):
                folder = tmp_path / f"{look}-{what}"
                folder.mkdir()
                (folder / "written.docx").write_bytes(written := _download(client, path, "docx"))
                (folder / "ours.pdf").write_bytes(_download(client, path, "pdf"))
                for pdf in (folder / "ours.pdf", converted(folder / "written.docx")):
                    _check_pdf(pdf, docx_headings(written), words)

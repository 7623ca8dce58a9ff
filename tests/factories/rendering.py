"""Sources of documents to render, and what is read back from files."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from datetime import UTC, datetime
from typing import Any

import docx
import pypdfium2

from documents.rendering.chapters import book_of
from documents.rendering.content.tree import headings_of, text_of
from documents.rendering.sources import DocumentSource, ExecutionSource, Source

MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

#: Texts that are markup in some language, or hurt some program.
HOSTILE = (
    "<script>alert(1)</script> & <b onclick='x'>\"q\"</b> ]]> <!-- --> &amp; &#x3c;",
    '#import "x.typ": * #read("/etc/passwd") $ x^2 $ @ref <label> \\ #{panic()} = H // c /* d */',
    "`code` ``` ~~~ * _ ** __ | a | b | [x](javascript:alert(1)) ![i](http://evil.example/i.png) <http://ok.example>",
    "left \u202eright\u202c \u2067isolated\u2069 \u200f\u200b\ufeff",
    "control \x01\x07\x1b[31m\x7f\x85 \ufffe\uffff \ufdd0 \u2028line\u2029end",
    "{{ /title }} {{#each /x}} {{/each}} ${x} {% raw %} {w:t} \ue0000\ue001",
    "漢字 かな 한국어 العربية עברית ไทย हिन्दी 🚀👩‍👩‍👧 é é́ ﬁ ½",
    "\n\n# Heading\n\n> quote\n\n- a\n- b\n\n1) c\n\n```\ncode\n```\n\n| a |\n|---|\n| b |\n\n---\n\\",
)


def document(content: Any, schema: Any = None, **values: Any) -> DocumentSource:
    """Return a source with a title and provenance."""
    values = {"name": "report", "title": "Report", "provenance": ("Version 3 of 4 March 2026", "by strong")} | values
    return DocumentSource(content=content, schema=schema, created_at=MADE, **values)


def execution(*documents: DocumentSource, **values: Any) -> ExecutionSource:
    """Return an execution with documents."""
    values = {"facts": (("Workflow", "Delivery"),), "provenance": ("Exported by dora",)} | values
    return ExecutionSource(title="Harbour", created_at=MADE, documents=documents, **values)


def hostile_document() -> DocumentSource:
    """Return a document with hostile texts in every place."""
    content: dict[str, Any] = {
        "texts": list(HOSTILE),
        "rows": [{"key": text.replace("\n", " ")[:200], "n": n, "ok": n % 2 == 0} for n, text in enumerate(HOSTILE)],
        "items": [{"title": text[:90], "body": text, "tags": [text[:20], text]} for text in HOSTILE],
        "nested": [[HOSTILE[0], [HOSTILE[1]]], {"deep": {"deeper": list(HOSTILE)}}],
    }
    content |= {f"{text} {n}": text for n, text in enumerate(HOSTILE)}
    return document(content, title=HOSTILE[0], provenance=HOSTILE, language="<en>", name=HOSTILE[0])


def heading_texts(source: Source) -> list[str]:
    """Return the text of each heading of a source, titles included."""
    book = book_of(source)
    found = [book.title] if book.is_execution else []
    for chapter in book.chapters:
        found += [chapter.title, *(text_of(each.text) for each in headings_of(chapter.blocks))]
    return found


def pdf_text(data: bytes) -> str:
    """Return the text of a PDF, with single spaces."""
    document = pypdfium2.PdfDocument(data)
    pages = [document[number].get_textpage().get_text_bounded() for number in range(len(document))]
    document.close()
    return flat("\n".join(pages))


def docx_headings(data: bytes) -> list[str]:
    """Return the title and the headings of a DOCX, with single spaces."""
    found: list[str] = []
    for paragraph in docx.Document(io.BytesIO(data)).paragraphs:
        style = paragraph.style
        if style is not None and (style.name or "").startswith(("Title", "Heading")):
            found.append(flat(paragraph.text))
    return found


def flat(text: str) -> str:
    """Return a text with single spaces, and without characters without a shape."""
    return " ".join("".join(letter for letter in text if unicodedata.category(letter) not in {"Cf", "Cn"}).split())


def zip_entries(data: bytes) -> dict[str, bytes]:
    """Return the entries of a zip file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

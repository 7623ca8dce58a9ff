"""The formats, and rendering in this process. `rendering.render` decides which process does it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from documents.rendering.chapters import book_of, chapter_of, front_of
from documents.rendering.content.tree import plain
from documents.rendering.sources import DocumentSource, ExecutionSource, Source
from documents.rendering.writers import docx, html, markdown, pdf
from documents.rendering.writers.zip_files import deterministic_zip


@dataclass(frozen=True)
class Format:
    """A format: its media type, and how names of its files end."""

    media_type: str
    extension: str


FORMATS = {
    "markdown": Format("text/markdown; charset=utf-8", "md"),
    "html": Format("text/html; charset=utf-8", "html"),
    "docx": Format("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    "pdf": Format("application/pdf", "pdf"),
    "zip": Format("application/zip", "zip"),
}


FRAGMENT = "fragment"  # a format for pages of the console, which clients cannot ask for


def render_here(source: Source, name: str, *, house: bytes | None = None) -> bytes:
    """Return a source in a format, rendered by this process.

    Raises:
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    if name == "zip":
        return _archive(source)
    if name == FRAGMENT and isinstance(source, DocumentSource):
        return _fragment(source)
    book = book_of(source)
    if name == "markdown":
        return markdown.render(book).encode()
    if name == "html":
        return html.page(book).encode()
    if name == "pdf":
        return pdf.render(book)
    if name == "docx":
        return docx.render(book, house)
    raise ValueError(f"there is no format {name!r}")


def _fragment(source: DocumentSource) -> bytes:
    """Return title, contents list and content of a document for a page of the console, as JSON.

    The name of the source stands before its anchors: the page has ids of its own.
    """
    chapter = chapter_of(source, source.name)
    parts = {"title": chapter.title, "contents": html.contents(chapter), "content": html.fragment(chapter)}
    return json.dumps(parts).encode()


def _archive(source: Source) -> bytes:
    """Return each document as JSON and Markdown, the further files of an execution, and what lists them."""
    documents = source.documents if isinstance(source, ExecutionSource) else (source,)
    entries: dict[str, bytes] = {}
    width = max(2, len(str(len(documents))))
    links: list[str] = []
    records: list[dict[str, Any]] = []
    for number, document in enumerate(documents, 1):
        name = f"{number:0{width}}-{file_name(document)}"
        book = book_of(document)
        made = {f"{name}.json": _json(document.content), f"{name}.md": markdown.render(book).encode()}
        entries |= made
        title = markdown.inline(plain(book.chapters[0].title))
        links.append(f"{number}. {title}: [Markdown]({name}.md), [JSON]({name}.json)")
        records.append({**(document.record or {}), "files": _hashes(made)})
    further = {name: text.encode() for name, text in getattr(source, "files", ())}
    links += [f"- [{name}]({name})" for name in further]
    entries |= further
    if source.record is not None:
        manifest = {**source.record, "files": _hashes(further), "documents": records}
        entries["manifest.json"] = _json(manifest)
    entries["index.md"] = markdown.index(front_of(source), links).encode()
    return deterministic_zip(entries)


def _json(value: Any) -> bytes:
    """Return a JSON file."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode(errors="replace")


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def file_name(source: Source) -> str:
    """Return the stem of a file's name: ASCII letters, digits, `-` and `_`, at most 80 characters."""
    text = source.name if isinstance(source, DocumentSource) else source.title
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:80].strip("-") or "document"

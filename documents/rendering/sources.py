"""What is rendered: one version of a document, or the documents of an execution in reading order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeAlias


@dataclass(frozen=True)
class DocumentSource:
    """One version of a document, as data.

    Attributes:
        name: its stable name within an execution, such as its type, or its step; part of file names and anchors.
        title: what stands above the text.
        content: a JSON value. Its texts are Markdown.
        created_at: when the version was made; files carry this time, never the time of rendering.
        schema: the JSON Schema of the content, which gives titles and order.
        provenance: lines of the footer: version, when, by which models, who edited, who accepted.
        language: BCP 47 tag of the content, if it is known.
        template: the Markdown template of the workflow for this type, if it has one.
    """

    name: str
    title: str
    content: Any
    created_at: datetime
    schema: Any = None
    provenance: tuple[str, ...] = ()
    language: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class ExecutionSource:
    """The documents of an execution, in reading order.

    Attributes:
        title: the title of the first page.
        created_at: when the newest of the documents was made.
        documents: the chapters.
        facts: pairs for the first page, such as ("Workflow", "Software delivery").
        provenance: lines of the footer.
        language: BCP 47 tag of the whole, if it is known.
    """

    title: str
    created_at: datetime
    documents: tuple[DocumentSource, ...]
    facts: tuple[tuple[str, str], ...] = ()
    provenance: tuple[str, ...] = ()
    language: str | None = None


Source: TypeAlias = DocumentSource | ExecutionSource


def to_plain(source: Source) -> dict[str, Any]:
    """Return a source as a JSON object, for another process."""
    plain: dict[str, Any] = {each.name: getattr(source, each.name) for each in fields(source)}
    plain["created_at"] = source.created_at.isoformat()
    if isinstance(source, ExecutionSource):
        plain["documents"] = [to_plain(each) for each in source.documents]
    return plain


def from_plain(plain: Mapping[str, Any]) -> Source:
    """Return the source that `to_plain` was given."""
    values = dict(plain) | {"created_at": datetime.fromisoformat(plain["created_at"])}
    values["provenance"] = tuple(plain["provenance"])
    if "documents" not in plain:
        return DocumentSource(**values)
    values["documents"] = tuple(from_plain(each) for each in plain["documents"])
    values["facts"] = tuple((name, value) for name, value in plain["facts"])
    return ExecutionSource(**values)

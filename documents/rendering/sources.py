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
        record: what the manifest of a zip file says about it, as JSON.
    """

    name: str
    title: str
    content: Any
    created_at: datetime
    schema: Any = None
    provenance: tuple[str, ...] = ()
    language: str | None = None
    template: str | None = None
    record: Mapping[str, Any] | None = None


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
        record: what the manifest of a zip file says about the whole, as JSON; None: there is no manifest.
        files: names and texts of further files in a zip file.
    """

    title: str
    created_at: datetime
    documents: tuple[DocumentSource, ...]
    facts: tuple[tuple[str, str], ...] = ()
    provenance: tuple[str, ...] = ()
    language: str | None = None
    record: Mapping[str, Any] | None = None
    files: tuple[tuple[str, str], ...] = ()


Source: TypeAlias = DocumentSource | ExecutionSource


def to_plain(source: Source) -> dict[str, Any]:
    """Return a source as a JSON object, for another process. Documents of one execution share their schemas."""
    plain: dict[str, Any] = {each.name: getattr(source, each.name) for each in fields(source)}
    plain["created_at"] = source.created_at.isoformat()
    if isinstance(source, ExecutionSource):
        schemas = {id(each.schema): each.schema for each in source.documents}
        places = {identity: place for place, identity in enumerate(schemas)}
        plain["schemas"] = list(schemas.values())
        plain["documents"] = [{**to_plain(each), "schema": places[id(each.schema)]} for each in source.documents]
    return plain


def from_plain(plain: Mapping[str, Any]) -> Source:
    """Return the source that `to_plain` was given."""
    values = dict(plain) | {"created_at": datetime.fromisoformat(plain["created_at"])}
    values["provenance"] = tuple(plain["provenance"])
    if "documents" not in plain:
        return DocumentSource(**values)
    schemas = values.pop("schemas")
    values["documents"] = tuple(from_plain({**each, "schema": schemas[each["schema"]]}) for each in plain["documents"])
    for name in ("facts", "files"):
        values[name] = tuple((first, second) for first, second in plain[name])
    return ExecutionSource(**values)

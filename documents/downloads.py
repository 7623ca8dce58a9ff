"""Documents as files: one version as Markdown, HTML, DOCX or PDF, and those of an execution, also as a zip file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from common.database.connections import give_back
from common.errors import Conflict, InternalError, Unavailable
from common.time import format_rfc3339
from documents.models import DocumentVersion
from documents.rendering.errors import HouseStyleError, RenderingBusy, RenderingError, RenderingLimitExceeded
from documents.rendering.formats import FORMATS, file_name
from documents.rendering.limited_process import turn
from documents.rendering.render import SMALL, render
from documents.rendering.sources import DocumentSource, Source

logger = logging.getLogger(__name__)

#: The formats of one document. A zip file is for the documents of an execution.
NAMES = tuple(name for name in FORMATS if name != "zip")


class CannotRender(InternalError):
    """The document cannot be written in this format."""

    code = "rendering-failed"


class TooLargeToRender(Conflict):
    """The document needs more time or memory than one file may use."""

    code = "rendering-too-large"


class RendererBusy(Unavailable):
    """All processes that make files are in use."""

    code = "rendering-busy"
    retry_after = 2


@dataclass(frozen=True, slots=True)
class Look:
    """How a workflow wants its documents to look: the template of one type, and the house `.docx`, if it has them."""

    template: str | None = None
    house: bytes | None = None


def write_file(
    row: DocumentVersion, name: str, *, decided: Iterable[str] = (), look: Look | None = None
) -> tuple[bytes, str]:
    """Return a version as a file, and the name of the file. The same version and decisions give the same bytes.

    Args:
        row: The version, joined with its head and schema.
        name: One of `NAMES`.
        decided: Further lines for the footer: what people have decided about the version.
        look: The look that its workflow gives it; None: the usual one.

    Raises:
        RendererBusy: too many files are being made.
        TooLargeToRender: the document needs more time or memory than one file may use.
        CannotRender: the document cannot be written in this format.
    """
    look = look or Look()
    source = source_of(row, name=row.document.type, decided=decided, template=look.template)
    return write_source(source, name, house=look.house), f"{file_name(source)}-v{row.version}.{FORMATS[name].extension}"


@contextmanager
def turn_for(size: int) -> Iterator[None]:
    """Wait, before contents are read, until they may be rendered. `size` is their bytes; small ones need not wait.

    Raises:
        RendererBusy: too many files are being made.
    """
    if size <= SMALL:
        yield
        return
    give_back()
    with ExitStack() as stack:
        try:
            stack.enter_context(turn())
        except RenderingBusy as error:
            raise RendererBusy(str(error)) from error
        yield


def write_source(source: Source, name: str, *, house: bytes | None = None) -> bytes:
    """Return a source as a file. A house file that is refused now is left out: it was checked when it was published.

    Raises:
        RendererBusy: too many files are being made.
        TooLargeToRender: it needs more time or memory than one file may use.
        CannotRender: it cannot be written in this format.
    """
    try:
        return render(source, name, house=house, before=give_back)
    except HouseStyleError as error:
        logger.warning("a DOCX is made without the house file of its workflow: %s", error)
        return write_source(source, name)
    except RenderingBusy as error:
        raise RendererBusy(str(error)) from error
    except RenderingLimitExceeded as error:
        raise TooLargeToRender(str(error)) from error
    except RenderingError as error:
        raise CannotRender(str(error)) from error


def source_of(
    row: DocumentVersion, *, name: str, decided: Iterable[str] = (), template: str | None = None, **values: Any
) -> DocumentSource:
    """Return a version as it is rendered.

    Args:
        row: The version, joined with its head and schema.
        name: Its stable name within a file.
        decided: Further lines for the footer: what people have decided about the version.
        template: The template of its type.
        values: Further values of the source.
    """
    return DocumentSource(
        name=name,
        title=row.title,
        content=row.content,
        created_at=row.created_at,
        schema=row.schema.content or None,
        provenance=(*_provenance(row), *decided),
        template=template,
        **values,
    )


def _provenance(row: DocumentVersion) -> Iterator[str]:
    """Yield the lines of the footer: version, time, and who made it."""
    origin: dict[str, Any] = row.provenance
    yield f"Version {row.version}, {format_rfc3339(row.created_at)}"
    if row.author_name:
        yield f"Edited by {row.author_name}" + (f": {row.note}" if row.note else "")
    if origin.get("model"):
        yield f"{origin.get('role', '')}, {origin['model']}".lstrip(", ")
    if origin.get("workflow_id"):
        yield f"Workflow {origin['workflow_id']}, version {origin.get('workflow_version', '')}"
    if origin.get("rehearsal"):
        yield "Generated by the rehearsal model, to try the workflow"
    if origin.get("prepared"):
        yield "An example that was prepared; no model was asked"

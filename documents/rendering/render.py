"""What other rooms call: a source in a format, and a document as a fragment for pages of the console."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from common.limits import limits
from documents.rendering.errors import HouseStyleError, RenderingLimitExceeded
from documents.rendering.formats import FRAGMENT, render_here
from documents.rendering.limited_process import nothing, render_in_process
from documents.rendering.sources import DocumentSource, ExecutionSource, Source, to_plain

SMALL = 100_000  # characters of a source that this process renders in a few milliseconds
_SAMPLE = DocumentSource(
    name="sample",
    title="Sample",
    content={"text": "# Heading\n\n- item\n\n> quote", "rows": [{"a": 1, "b": 2}]},
    created_at=datetime(2000, 1, 1, tzinfo=UTC),
    provenance=("Version 1",),
)
_LIGHT = frozenset({"markdown", "html", FRAGMENT})


def render(source: Source, name: str, *, house: bytes | None = None, before: Callable[[], None] = nothing) -> bytes:
    """Return a source in a format of `formats.FORMATS`: the same bytes for the same source, in any process.

    DOCX, PDF and zip files are made by a process of their own, with limits; so are large HTML and Markdown files, and
    all files by templates. This blocks: an event loop calls it in a thread.

    Args:
        source: a document, or the documents of an execution.
        name: the format. A zip file has each document as JSON and Markdown.
        house: a `.docx` that gives styles, header and footer of DOCX files.
        before: called before this waits for another process, such as to give a connection back.

    Raises:
        RenderingBusy: too many files are being made.
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    if house is not None and len(house) > limits().house_style_bytes:
        raise HouseStyleError(f"A house file has at most {limits().house_style_bytes:,} bytes.")
    plain = json.dumps(to_plain(source))
    if name in _LIGHT and len(plain) <= SMALL and not _has_template(source):
        return render_here(source, name)
    return render_in_process(plain, name, house=house, before=before)


def _has_template(source: Source) -> bool:
    """Return whether a template can make the result much larger than the source."""
    documents = source.documents if isinstance(source, ExecutionSource) else (source,)
    return any(each.template is not None for each in documents)


def check_house(data: bytes) -> None:
    """Check a house file by making a small DOCX with it, in a process with limits.

    Raises:
        HouseStyleError: it is too large or damaged, or has a part that is refused; the message says which.
    """
    try:
        render(_SAMPLE, "docx", house=data)
    except HouseStyleError:
        raise
    except (RenderingLimitExceeded, RuntimeError) as error:  # what python-docx says of a damaged file is manifold
        raise HouseStyleError("No document can be made with the file.") from error


@dataclass(frozen=True)
class Fragment:
    """A document for a page of the console: title as text, contents list and content as HTML with class names only."""

    title: str
    contents: str
    content: str


def fragment_of(source: DocumentSource, *, before: Callable[[], None] = nothing) -> Fragment:
    """Return a document for a page with a strict Content-Security-Policy; its highest headings are `h2`.

    `before` is called before this waits for another process.

    Raises:
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    return Fragment(**json.loads(render(source, FRAGMENT, before=before)))

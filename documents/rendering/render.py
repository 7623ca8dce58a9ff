"""What other rooms call: a source in a format, and a document as a fragment for pages of the console."""

from __future__ import annotations

import json
from dataclasses import dataclass

from common.limits import limits
from documents.rendering.errors import HouseStyleError
from documents.rendering.formats import FRAGMENT, render_here
from documents.rendering.limited_process import render_in_process
from documents.rendering.sources import DocumentSource, Source, to_plain

_SMALL = 100_000  # characters of a source that this process renders in a few milliseconds
_LIGHT = frozenset({"markdown", "html", FRAGMENT})


def render(source: Source, name: str, *, house: bytes | None = None) -> bytes:
    """Return a source in a format of `formats.FORMATS`: the same bytes for the same source, in any process.

    DOCX, PDF and zip files are made by a process of their own, with limits; so are large HTML and Markdown files. This
    blocks: an event loop calls it in a thread.

    Args:
        source: a document, or the documents of an execution.
        name: the format. A zip file has each document as JSON, Markdown and DOCX.
        house: a `.docx` that gives styles, header and footer of DOCX files.

    Raises:
        RenderingBusy: too many files are being made.
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    if house is not None and len(house) > limits().house_style_bytes:
        raise HouseStyleError(f"A house file has at most {limits().house_style_bytes:,} bytes.")
    plain = json.dumps(to_plain(source))
    if name in _LIGHT and len(plain) <= _SMALL:
        return render_here(source, name)
    return render_in_process(plain, name, house=house)


@dataclass(frozen=True)
class Fragment:
    """A document for a page of the console: title as text, contents list and content as HTML with class names only."""

    title: str
    contents: str
    content: str


def fragment_of(source: DocumentSource) -> Fragment:
    """Return a document for a page with a strict Content-Security-Policy; its highest headings are `h2`.

    Raises:
        RenderingError: the document cannot be rendered; its subclasses say why.
    """
    return Fragment(**json.loads(render(source, FRAGMENT)))

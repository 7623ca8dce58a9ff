"""PDF files, by PDFium: text page by page, form fields, remarks, and the names of attachments."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from typing import Any

from documents.extraction.limits import CharacterBudget, ExtractionLimits
from documents.extraction.results import Extraction, FileRefused, FileType, RefusalCode, Segment
from documents.extraction.text import clean

_MAX_ANNOTATIONS = 2_000  # of a page
_MAX_ATTACHMENTS = 20  # that are named
_MAX_VALUE_BYTES = 200_000
_XFA = (2, 3)
#: PDFium's mark between the halves of a word that a hyphen divides at the end of a line.
_HYPHEN = re.compile("[\x02\ufffe]")
#: Kinds of annotation whose text is a remark of a reader.
_REMARKS = frozenset({1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
_WIDGET = 20
_BUTTON, _CHECKBOX, _RADIO = 1, 2, 3


def read(data: bytes, limits: ExtractionLimits) -> Extraction:
    """Return the text of a PDF.

    Raises:
        FileRefused: it needs a password, is damaged, or has too many pages or characters.
    """
    import pypdfium2  # noqa: PLC0415 - loaded only for PDFs
    import pypdfium2.raw as pdfium  # noqa: PLC0415

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _refusal(error.err_code) from error
    pages = len(document)
    if pages > limits.pages:
        raise FileRefused(RefusalCode.TOO_MANY_PAGES, f"has {pages:,} pages; {limits.pages:,} pages are the limit")
    if pages < 1:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: it has no page")
    notes: list[str] = []
    if document.get_formtype() in _XFA:
        notes.append("Its form is of the kind XFA, whose fields are not read.")
    document.init_forms()
    segments, damaged = _read_pages(document, pages, CharacterBudget(limits))
    if len(damaged) == pages:
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: no page of it can be read")
    notes += _notes_of_pages(segments, damaged) + _attachments(document)
    title = clean(document.get_metadata_value("Title") or "")
    encrypted = pdfium.FPDF_GetSecurityHandlerRevision(document) >= 0
    if encrypted:
        notes.append("It is encrypted, without a password. Models get its text, and not the file.")
    return Extraction.of(FileType.PDF, segments, notes=notes, title=title, pages=pages, encrypted=encrypted)


def _refusal(code: int | None) -> FileRefused:
    if code == 4:  # FPDF_ERR_PASSWORD; an empty password was tried
        return FileRefused(RefusalCode.ENCRYPTED, "is protected by a password")
    if code == 5:  # FPDF_ERR_SECURITY
        return FileRefused(RefusalCode.ENCRYPTED, "is encrypted in a way that is not read")
    return FileRefused(RefusalCode.DAMAGED, "is damaged: it is no valid PDF")


def _read_pages(document: Any, pages: int, budget: CharacterBudget) -> tuple[list[Segment], list[int]]:
    """Return a segment for each page, and the numbers of the pages that cannot be read."""
    import pypdfium2  # noqa: PLC0415

    segments, damaged = [], []
    for number in range(1, pages + 1):
        text = ""
        try:
            page = document[number - 1]
            text = budget.spend(_page_text(document, page))
            page.close()
        except pypdfium2.PdfiumError:
            damaged.append(number)
        segments.append(Segment(f"page={number}", f"page {number}", text))
    return segments, damaged


def _page_text(document: Any, page: Any) -> str:
    """Return what people see on a page, then its fields and remarks."""
    content = page.get_textpage()
    text = clean(_HYPHEN.sub("", content.get_text_bounded())).strip()
    content.close()
    lines = "\n".join(_annotations(document, page))
    return f"{text}\n\n{lines}".strip() if lines else text


def _annotations(document: Any, page: Any) -> Iterator[str]:
    import pypdfium2.raw as pdfium  # noqa: PLC0415

    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
        if subtype == _WIDGET and document.formenv:
            yield from _field(document.formenv, annotation)
        elif subtype in _REMARKS and (remark := _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")):
            author = _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"T")
            yield f"[Comment by {author}: {remark}]" if author else f"[Comment: {remark}]"
        pdfium.FPDFPage_CloseAnnot(annotation)


def _field(form: Any, annotation: Any) -> Iterator[str]:
    import pypdfium2.raw as pdfium  # noqa: PLC0415

    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    name = _string(pdfium.FPDFAnnot_GetFormFieldName, form, annotation)
    if kind == _CHECKBOX:
        yield f"[Field {name}: {'checked' if pdfium.FPDFAnnot_IsChecked(form, annotation) else 'not checked'}]"
    elif kind == _RADIO:
        if pdfium.FPDFAnnot_IsChecked(form, annotation):
            yield f"[Field {name}: {_string(pdfium.FPDFAnnot_GetFormFieldExportValue, form, annotation)}]"
    elif kind > _BUTTON:
        yield f"[Field {name}: {_string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)}]"


def _string(function: Any, *arguments: Any) -> str:
    """Return the text of a PDFium function that fills a buffer with UTF-16."""
    size = min(function(*arguments, None, 0), _MAX_VALUE_BYTES)
    buffer = ctypes.create_string_buffer(size)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return clean(buffer.raw.decode("utf-16-le", errors="ignore").rstrip("\0")).strip()


def _notes_of_pages(segments: list[Segment], damaged: list[int]) -> list[str]:
    known = set(damaged)
    empty = [number for number, each in enumerate(segments, 1) if not each.text and number not in known]
    notes = []
    if damaged:
        notes.append(f"{ranges(damaged)} cannot be read.")
    if len(empty) == 1:
        notes.append(f"{ranges(empty)} has no text. Models that read PDFs see it as a picture.")
    elif empty:
        notes.append(f"{ranges(empty)} have no text. Models that read PDFs see them as pictures.")
    return notes


def ranges(numbers: list[int]) -> str:
    """Return sorted page numbers in words, such as `Pages 1 to 3, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    text = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in parts)
    return f"Page {text}" if len(numbers) == 1 else f"Pages {text}"


def _attachments(document: Any) -> list[str]:
    number = document.count_attachments()
    if number < 1:
        return []
    names = [clean(document.get_attachment(index).get_name()) for index in range(min(number, _MAX_ATTACHMENTS))]
    more = f" and {number - len(names)} more" if number > len(names) else ""
    return [f"Attached files are not read: {', '.join(names)}{more}."]

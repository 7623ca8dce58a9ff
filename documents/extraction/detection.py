"""The type of a file by its content. Its name only tells texts apart, and is refused where it claims another type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from documents.extraction import archives, encoding
from documents.extraction.results import FileRefused, FileType, RefusalCode

_WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
_MAIN_TYPES = {_WORD_TYPE: FileType.DOCX, _EXCEL_TYPE: FileType.XLSX}
_CONTENT_TYPES = "[Content_Types].xml"
_MAX_CONTENT_TYPES_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 1024

#: What a name claims. Names of other kinds claim nothing.
_CLAIMS = {
    ".pdf": FileType.PDF,
    ".docx": FileType.DOCX,
    ".xlsx": FileType.XLSX,
    ".csv": FileType.CSV,
    ".tsv": FileType.CSV,
    ".md": FileType.MARKDOWN,
    ".markdown": FileType.MARKDOWN,
    ".txt": FileType.TEXT,
    ".png": FileType.PNG,
    ".jpg": FileType.JPEG,
    ".jpeg": FileType.JPEG,
}
_TEXTS = frozenset({FileType.CSV, FileType.MARKDOWN, FileType.TEXT})

#: The first bytes of files that are not read.
_UNSUPPORTED_MAGIC = (
    (b"GIF8", "is a GIF picture"),
    (b"BM", "is a BMP picture"),
    (b"II*\0", "is a TIFF picture"),
    (b"MM\0*", "is a TIFF picture"),
    (b"{\\rtf", "is an RTF document"),
    (b"%!PS", "is a PostScript document"),
    (b"\x1f\x8b", "is a gzip archive"),
    (b"7z\xbc\xaf", "is a 7z archive"),
    (b"Rar!", "is a RAR archive"),
    (b"BZh", "is a bzip2 archive"),
    (b"\xfd7zXZ", "is an xz archive"),
    (b"MZ", "is a program"),
    (b"\x7fELF", "is a program"),
)
#: What an OLE file is, by the name of a stream (in UTF-16).
_OLE_STREAMS = (
    ("EncryptedPackage", RefusalCode.ENCRYPTED, "is protected by a password"),
    ("WordDocument", RefusalCode.UNSUPPORTED_TYPE, "is a Word document of the old format (.doc); save it as .docx"),
    ("Workbook", RefusalCode.UNSUPPORTED_TYPE, "is an Excel workbook of the old format (.xls); save it as .xlsx"),
    ("PowerPoint Document", RefusalCode.UNSUPPORTED_TYPE, "is a PowerPoint presentation; save it as PDF"),
)
_KINDS_OF_ZIP = (
    ("ppt/presentation.xml", "is a PowerPoint presentation; save it as PDF"),
    ("mimetype", "is an OpenDocument file or an e-book; save it as .docx, .xlsx or PDF"),
    ("META-INF/MANIFEST.MF", "is a Java archive"),
    ("word/document.xml", "is a damaged Word document, or one of another format; save it as .docx"),
    ("xl/workbook.bin", "is a binary Excel workbook (.xlsb); save it as .xlsx"),
    ("xl/workbook.xml", "is a damaged Excel workbook, or one of another format; save it as .xlsx"),
)
_READABLE = "PDF, DOCX, XLSX, CSV, Markdown, text, PNG and JPEG are read"


def detect(data: bytes, name: str) -> FileType:
    """Return the type of a file.

    Raises:
        FileRefused: the file is empty, damaged, encrypted or with macros, its type is not read, it is of two types at
            once, or its name claims another type.
    """
    if not data:
        raise FileRefused(RefusalCode.EMPTY, "is empty")
    found = _by_content(data, name)
    claimed = _CLAIMS.get(suffix(name))
    if claimed not in (None, found) and not {claimed, found} <= _TEXTS:
        detail = f"is named {suffix(name)}, and its content is {found.noun}"
        raise FileRefused(RefusalCode.TYPE_MISMATCH, detail)
    return found


def suffix(name: str) -> str:
    """Return the suffix of a file's name in lower case, with its dot."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def _by_content(data: bytes, name: str) -> FileType:
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind(data)
    for magic, detail in _UNSUPPORTED_MAGIC:
        if data.startswith(magic) and _is_binary_or_marked(data, magic):
            raise _unsupported(detail)
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        raise _unsupported("is a HEIC or AVIF picture; save it as JPEG")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        raise _unsupported("is a WebP picture; save it as PNG or JPEG")
    if encoding.decode(data) is None:
        raise _unsupported("is neither a text nor of another type that is read")
    return _kind_of_text(name)


def _is_binary_or_marked(data: bytes, magic: bytes) -> bool:
    """Return whether a short mark, which may begin a text, does not."""
    return not magic.isalnum() or len(magic) > 3 or b"\0" in data[:_HEAD_BYTES]


def _kind_of_text(name: str) -> FileType:
    claimed = _CLAIMS.get(suffix(name))
    return claimed if claimed in _TEXTS and claimed is not None else FileType.TEXT


def _unsupported(detail: str) -> FileRefused:
    return FileRefused(RefusalCode.UNSUPPORTED_TYPE, f"{detail}. {_READABLE}")


def _single(kind: FileType) -> Callable[[bytes], FileType]:
    """Return a check that a file of a type is not a second type too."""

    def check(data: bytes) -> FileType:
        if archives.ends_as_zip(data):
            raise FileRefused(RefusalCode.TYPE_MISMATCH, f"is {kind.noun} and a ZIP archive at once")
        if b"%PDF-" in data[1:_HEAD_BYTES]:
            raise FileRefused(RefusalCode.TYPE_MISMATCH, f"is {kind.noun} and a PDF at once")
        return kind

    return check


def _kind_of_zip(data: bytes) -> FileType:
    if b"%PDF-" in data[:_HEAD_BYTES]:
        raise FileRefused(RefusalCode.TYPE_MISMATCH, "is a ZIP archive and a PDF at once")
    archive = archives.Archive(data)
    if _CONTENT_TYPES in archive and archive.size(_CONTENT_TYPES) <= _MAX_CONTENT_TYPES_BYTES:
        types = archive.read(_CONTENT_TYPES)
        if b"macroEnabled" in types or b"ms-office.vbaProject" in types:
            raise FileRefused(RefusalCode.MACROS, "has macros; save it without macros")
        found = {kind for each, kind in _MAIN_TYPES.items() if f'"{each}"' in _attributes(types)}
        if len(found) == 1:
            return found.pop()
    for name, detail in _KINDS_OF_ZIP:
        if name in archive:
            raise _unsupported(detail)
    raise _unsupported("is a ZIP archive")


def _attributes(types: bytes) -> str:
    """Return the XML as text; its attributes are compared in double quotes."""
    is_utf16 = types[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = types.decode("utf-16", "replace") if is_utf16 else types.decode("latin-1")
    return text.replace("'", '"')


def _kind_of_ole(data: bytes) -> FileType:
    for stream, code, detail in _OLE_STREAMS:
        if stream.encode("utf-16-le") in data:
            raise FileRefused(code, detail)
    raise _unsupported("is a file of an old office program")


_MAGIC: tuple[tuple[bytes, Callable[[bytes], FileType]], ...] = (
    (b"%PDF-", _single(FileType.PDF)),
    (b"\x89PNG\r\n\x1a\n", _single(FileType.PNG)),
    (b"\xff\xd8\xff", _single(FileType.JPEG)),
    (b"PK\x03\x04", _kind_of_zip),
    (b"PK\x05\x06", _kind_of_zip),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _kind_of_ole),
)

"""Office files are ZIP archives of XML: this module opens them, and refuses what a reader must not meet."""

from __future__ import annotations

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote
from xml.parsers import expat

from documents.extraction.results import FileRefused, RefusalCode

MAX_ENTRIES = 10_000
MAX_EXPANDED_BYTES = 256 * 1024 * 1024
#: Deflate shrinks to a thousandth at most; the XML of real files to a fiftieth.
MAX_RATIO = 400
_MIN_BYTES_FOR_RATIO = 4 * 1024 * 1024
_CHUNK = 64 * 1024

_END_OF_DIRECTORY = b"PK\x05\x06"
_LOCAL_HEADER_BYTES = 30
_XML = re.compile(r"\.(xml|rels|vml)$", re.IGNORECASE)
_MACROS = re.compile(r"(vbaproject\.bin|vbaprojectsignature\w*\.bin|/macrosheets/.+)$", re.IGNORECASE)
_UNSAFE_NAME = re.compile(r"^/|\\|\0|(^|/)\.\.(/|$)|^[A-Za-z]:")
_ERRORS_OF_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    struct.error,
    OverflowError,
    ValueError,
)
RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


def ends_as_zip(data: bytes) -> bool:
    """Return whether the bytes end with the directory of a ZIP archive, whatever they begin with."""
    place = data.rfind(_END_OF_DIRECTORY, max(0, len(data) - 22 - 0xFFFF))
    if place < 0 or len(data) - place < 22:
        return False
    (comment,) = struct.unpack_from("<H", data, place + 20)
    return place + 22 + int(comment) == len(data)


@dataclass(frozen=True)
class Relationship:
    """A relationship of a part: its id, the last word of its type, its target, and whether that is outside the file."""

    id: str
    kind: str
    target: str
    is_external: bool


class Archive:
    """A ZIP archive whose directory is plausible. Parts are read into memory, within its declared sizes."""

    def __init__(self, data: bytes) -> None:
        """Open the archive.

        Raises:
            FileRefused: the archive is damaged, encrypted, or a bomb.
        """
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _ERRORS_OF_ZIP as error:
            raise _damaged() from error
        if not ends_as_zip(data):
            raise _damaged()
        entries = self._zip.infolist()
        _check_sizes(entries)
        for each in entries:
            _check_entry(each)
        _check_places(entries)
        self._names = {each.filename: each for each in entries}
        if len({name.lower() for name in self._names}) != len(entries):
            raise FileRefused(RefusalCode.DAMAGED, "is damaged: its archive has two entries of one name")

    @property
    def names(self) -> list[str]:
        """Return the names of all entries, in the order of the directory."""
        return list(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def size(self, name: str) -> int:
        """Return the expanded size of an entry in bytes."""
        return self._names[name].file_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield an entry piece by piece.

        Raises:
            FileRefused: the entry is damaged.
        """
        try:
            with self._zip.open(self._names[name]) as part:
                while chunk := part.read(_CHUNK):
                    yield chunk
        except _ERRORS_OF_ZIP as error:
            raise _damaged() from error

    def read(self, name: str) -> bytes:
        """Return an entry; `FileRefused` when it is damaged."""
        return b"".join(self.chunks(name))

    def relationships(self, part: str) -> list[Relationship]:
        """Return the relationships of a part (empty: of the package); targets within it are paths from its top."""
        import xml.etree.ElementTree as ElementTree  # noqa: PLC0415 - what the parent imports stays small

        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path not in self:
            return []
        try:
            root = ElementTree.fromstring(self.read(path))  # noqa: S314 - checked for declarations
        except ElementTree.ParseError as error:
            raise FileRefused(RefusalCode.DAMAGED, "is damaged: a part of it is no valid XML") from error
        found = []
        for each in root.iter(RELATIONSHIP):
            target, is_external = each.get("Target", ""), each.get("TargetMode") == "External"
            if not is_external:
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            found.append(Relationship(each.get("Id", ""), each.get("Type", "").rpartition("/")[2], target, is_external))
        return found


def _damaged() -> FileRefused:
    return FileRefused(RefusalCode.DAMAGED, "is damaged: its archive cannot be read")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise FileRefused(RefusalCode.ARCHIVE_BOMB, f"is an archive of more than {MAX_ENTRIES:,} entries")
    if sum(each.file_size for each in entries) > MAX_EXPANDED_BYTES:
        detail = f"is an archive that expands to more than {MAX_EXPANDED_BYTES // 1024 // 1024} MiB"
        raise FileRefused(RefusalCode.ARCHIVE_BOMB, detail)
    for each in entries:
        if each.file_size > max(_MIN_BYTES_FOR_RATIO, MAX_RATIO * each.compress_size):
            raise FileRefused(
                RefusalCode.ARCHIVE_BOMB, f"is an archive that expands to over {MAX_RATIO} times its size"
            )


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise FileRefused(RefusalCode.ENCRYPTED, "is protected by a password")
    if _UNSAFE_NAME.search(entry.orig_filename):
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: an entry of its archive has a path that leads out of it")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileRefused(RefusalCode.DAMAGED, "is damaged: its archive is compressed in an unusual way")


def _check_places(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes: a small file can list the same data ten thousand times."""
    if entries and min(each.header_offset for each in entries) > 0:
        raise _damaged()
    end = 0
    for each in sorted(entries, key=lambda entry: entry.header_offset):
        if each.header_offset < end:
            raise FileRefused(RefusalCode.ARCHIVE_BOMB, "is an archive whose entries overlap")
        end = each.header_offset + _LOCAL_HEADER_BYTES + len(each.orig_filename) + each.compress_size


# --- parts ------------------------------------------------------------------------------------------------------------
def check_parts(archive: Archive) -> list[str]:
    """Check all parts before a library reads them; return notes about what lies elsewhere and is not fetched.

    Raises:
        FileRefused: the file has macros, document type declarations or entities, or links to active content elsewhere.
    """
    if any(_MACROS.search(name) for name in archive.names):
        raise FileRefused(RefusalCode.MACROS, "has macros; save it without macros")
    for name in archive.names:
        if _XML.search(name):
            _check_prolog(archive, name)
    return _external_notes(archive)


def _check_prolog(archive: Archive, name: str) -> None:
    """Refuse a document type declaration: it can only stand before the first element, and entities only in it."""
    parser = expat.ParserCreate()
    has_begun = False

    def on_declaration(*_: object) -> None:
        raise FileRefused(RefusalCode.EXTERNAL_ENTITIES, "declares XML entities, which no office program writes")

    def on_element(*_: object) -> None:
        nonlocal has_begun
        has_begun = True

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = on_declaration
    parser.StartElementHandler = on_element
    try:
        for chunk in archive.chunks(name):
            parser.Parse(chunk, False)
            if has_begun:
                break
    except expat.ExpatError as error:
        if not has_begun:
            raise FileRefused(RefusalCode.DAMAGED, "is damaged: a part of it is no valid XML") from error


#: What a program would load and run when it opens the file. Pictures and links are only noted.
_ACTIVE = frozenset({"attachedTemplate", "oleObject", "frame", "subDocument", "aFChunk", "package"})
_NOTES = {
    "image": "Pictures that lie elsewhere are not fetched.",
    "externalLinkPath": "Values of other workbooks are read as they were when the file was saved.",
    "attachedTemplate": "A template on its author's computer is not read.",
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")  # a drive has one letter
_PATH_OF_FILE_URL = re.compile(r"(///|/)?(?!/)")


def is_remote(target: str) -> bool:
    """Return whether a target lies on another computer: an address, or a share such as `//server/folder`."""
    path = unquote(target).strip().replace("\\", "/").lower()
    if path.startswith("file:"):
        return _PATH_OF_FILE_URL.match(path.removeprefix("file:")) is None
    return path.startswith("//") or _SCHEME.match(path) is not None


def _external_notes(archive: Archive) -> list[str]:
    notes = []
    for name in archive.names:
        if not name.lower().endswith(".rels"):
            continue
        folder, rels = posixpath.split(name)
        part = posixpath.join(posixpath.dirname(folder), rels.removesuffix(".rels"))
        for each in archive.relationships(part):
            if each.is_external and each.kind in _ACTIVE and is_remote(each.target):
                detail = "loads a template or an object from another computer"
                raise FileRefused(RefusalCode.EXTERNAL_CONTENT, f"{detail} ({each.target[:100]})")
            if each.is_external and each.kind in _NOTES:
                notes.append(_NOTES[each.kind])
    return notes

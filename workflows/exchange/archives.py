"""Folders of workflows as zip archives: reading within limits. Nothing is written to disk here."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib

from common.limits import limits
from common.sources.text_source import FileError, SourceError

_MAX_NAME = 200  # characters of a path
_UNSAFE_NAME = re.compile(r"^/|\\|[\0-\x1f\x7f]|(^|/)\.{1,2}(/|$)|^[A-Za-z]:|//")
#: What operating systems add to archives.
_CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 1  # a bit of the flags
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    struct.error,
    OverflowError,
    ValueError,
    OSError,
    RuntimeError,
)


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive by path. A folder that holds all files is left out of the paths.

    Raises:
        SourceError: the archive is damaged, encrypted, too large when expanded, or has too many files, a link, or a
            path that leads out of it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [each for each in archive.infolist() if not _CLUTTER.search(each.filename)]
            _check(entries)
            files = {each.filename: _read(archive, each) for each in entries if not each.is_dir()}
    except _ERRORS as error:
        raise SourceError(FileError("It is not a zip archive, or it is damaged.", "unreadable_archive")) from error
    return _without_folder(files)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a file. It is never expanded beyond its declared size, which `_check` has limited."""
    with archive.open(entry) as part:
        return part.read(entry.file_size)


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > limits().definition_files:
        detail = f"The archive has more than {limits().definition_files} files (MAX_DEFINITION_FILES)."
        raise SourceError(FileError(detail, "too_many_files"))
    maximum = limits().definition_bytes + limits().house_style_bytes
    if sum(each.file_size for each in entries) > maximum:
        detail = f"Expanded, the archive has more than {maximum:,} bytes (MAX_DEFINITION_BYTES, MAX_HOUSE_STYLE_BYTES)."
        raise SourceError(FileError(detail, "too_large"))
    names = [each.filename.lower() for each in entries]
    if len({*names}) != len(names):
        raise SourceError(FileError("Two files of the archive have the same path.", "duplicate_file"))
    for each in entries:
        _check_entry(each)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    shown = "".join(each if each.isprintable() else " " for each in name[:_MAX_NAME])
    if len(name) > _MAX_NAME:
        raise SourceError(FileError(f"{shown!r}… is too long for a path in the archive.", "path_too_long"))
    if _UNSAFE_NAME.search(name):
        raise SourceError(FileError(f"{shown!r} is outside of the workflow's folder.", "outside_folder"))
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise SourceError(FileError(f"{shown!r} is a link; put the file itself into the archive.", "link"))
    if entry.flag_bits & _ENCRYPTED:
        raise SourceError(FileError(f"{shown!r} is encrypted.", "unreadable_archive"))
    if entry.compress_type not in _METHODS:
        raise SourceError(FileError(f"{shown!r} is compressed in an unusual way; use Deflate.", "unreadable_archive"))


def _without_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files without the one folder at the top that holds all files, as when the folder itself was packed."""
    tops = {name.partition("/")[0] for name in files if "/" in name}
    if len(tops) != 1 or any("/" not in name for name in files):
        return files
    start = len(tops.pop()) + 1
    return {name[start:]: data for name, data in files.items()}

"""A house `.docx`: a file of an author that gives styles, header and footer.

Nothing in it is evaluated. The check reads the file as data, and refuses what programs would evaluate or load: macros,
references out of the file, templates, embedded objects, active fields, XML entities, and files that are far larger than
they look. Then the body is dropped, and of the parts only those for looks stay.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from documents.rendering.errors import HouseStyleError

if TYPE_CHECKING:
    from docx.document import Document

_MAX_ENTRIES = 500
_MAX_EXPANDED = 50 * 1024 * 1024  # bytes of all entries
_MAX_RATIO = 200  # of an entry's bytes to those in the file
_SMALL = 256 * 1024  # bytes of an entry that may have any ratio
_CHUNK = 64 * 1024
_ENCRYPTED = 0x1
_NAME = re.compile(r"[A-Za-z0-9_.\-\[\] /]+")
_MAIN_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_ACTIVE_TYPES = re.compile(r"macroenabled|vbaproject|vbadata|activex|oleobject", re.IGNORECASE)
_ACTIVE_NAMES = re.compile(r"vba|activex|embeddings/|oleobject|\.bin$|\.exe$|\.dll$|\.js$|\.vbs$", re.IGNORECASE)
_ACTIVE_RELATIONS = frozenset(
    {
        *("afChunk", "attachedTemplate", "control", "frame", "mailMergeHeaderSource", "mailMergeSource", "oleObject"),
        *("package", "recipientData", "subDocument", "transform", "vbaProject", "vbaProjectSignature", "wordVbaData"),
        "activeXControlBinary",
    }
)
_ACTIVE_ELEMENTS = frozenset({"object", "control", "altChunk", "subDoc", "OLEObject", "movie", "script"})
#: Attributes that name something to load; relationships are checked by themselves.
_LOADING_ATTRIBUTES = frozenset({"src", "href", "althref"})
#: Fields of headers and footers that only show what the document itself knows.
_FIELDS = frozenset(
    {
        *("AUTHOR", "CREATEDATE", "DATE", "DOCPROPERTY", "FILENAME", "NUMPAGES", "PAGE", "SAVEDATE", "SECTION"),
        *("SECTIONPAGES", "STYLEREF", "SUBJECT", "TIME", "TITLE"),
    }
)
_KEPT_BY_DOCUMENT = frozenset({"styles", "numbering", "theme", "fontTable", "settings", "header", "footer"})
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif"})
_KEPT_SETTINGS = frozenset({"evenAndOddHeaders", "defaultTabStop", "compat", "themeFontLang"})


def check_parts(data: bytes) -> None:
    """Check the parts of a house file, without using it.

    Raises:
        HouseStyleError: it is damaged, or has a part that is refused; the message says which.
    """
    entries = _expand(data)
    _check_types(entries)
    for name, content in entries.items():
        if name.endswith((".xml", ".rels")):
            root = _parse(name, content)
            if name.endswith(".rels"):
                _check_relations(name, root)
            elif re.fullmatch(r"word/(?:header|footer)[^/]*\.xml", name):
                _check_shown(name, root)


def _expand(data: bytes) -> dict[str, bytes]:
    """Return the entries of a zip file, without trusting the sizes that it states."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _entries(archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise HouseStyleError("The file is damaged, or no .docx file.") from error


def _entries(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > _MAX_ENTRIES:
        raise HouseStyleError(f"The file has more than {_MAX_ENTRIES} parts.")
    entries: dict[str, bytes] = {}
    left = _MAX_EXPANDED
    for info in infos:
        _check_entry(info)
        if info.filename.lower() in {name.lower() for name in entries}:
            raise HouseStyleError(f"The file has two parts named {info.filename}.")
        entries[info.filename] = _read(archive, info, left)
        left -= len(entries[info.filename])
    return entries


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if not _NAME.fullmatch(name) or name.startswith("/") or ".." in name.split("/"):
        raise HouseStyleError(f"The part {name!r:.100} has a name that is not allowed.")
    if info.flag_bits & _ENCRYPTED:
        raise HouseStyleError("The file is encrypted.")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise HouseStyleError(f"The part {name} is compressed in a way that .docx files do not use.")
    if _ACTIVE_NAMES.search(name):
        raise HouseStyleError(f"The file has an active part, {name}: macros and embedded objects are refused.")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: int) -> bytes:
    """Return an entry of at most `left` bytes, reading no more."""
    found = bytearray()
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            found += chunk
            if len(found) > left:
                raise HouseStyleError(f"The file expands to more than {_MAX_EXPANDED // 1024 // 1024} MB.")
            if len(found) > _SMALL and len(found) > _MAX_RATIO * max(info.compress_size, 1):
                raise HouseStyleError(f"The part {info.filename} expands to more than {_MAX_RATIO} times its size.")
    return bytes(found)


def _check_types(entries: dict[str, bytes]) -> None:
    if "[Content_Types].xml" not in entries or "word/document.xml" not in entries:
        raise HouseStyleError("The file is damaged, or no .docx file.")
    types = _parse("[Content_Types].xml", entries["[Content_Types].xml"])
    kinds = {each.get("PartName") or each.get("Extension") or "": each.get("ContentType") or "" for each in types}
    for name, kind in kinds.items():
        if _ACTIVE_TYPES.search(kind):
            raise HouseStyleError(f"The file has an active part, {name}: macros and embedded objects are refused.")
    if kinds.get("/word/document.xml") != _MAIN_TYPE:
        raise HouseStyleError("The file is no .docx document; templates and files with macros are refused.")


def _parse(name: str, content: bytes) -> Any:
    """Return the root of a part's XML, which has no document type and no entities."""
    from lxml import etree  # noqa: PLC0415 - heavy; only the process that makes a DOCX loads it

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    flat = content.replace(b"\0", b"")  # UTF-16 looks like UTF-8 then
    if b"<!DOCTYPE" in flat or b"<!ENTITY" in flat:
        raise HouseStyleError(f"The part {name} has a document type or entities, which are refused.")
    try:
        tree = etree.parse(io.BytesIO(content), parser)
    except etree.XMLSyntaxError as error:
        raise HouseStyleError(f"The part {name} is no well-formed XML.") from error
    if tree.docinfo.doctype:
        raise HouseStyleError(f"The part {name} has a document type or entities, which are refused.")
    return tree.getroot()


def _check_relations(name: str, root: Any) -> None:
    for relation in root:
        kind = (relation.get("Type") or "").rpartition("/")[2]
        if kind in _ACTIVE_RELATIONS:
            raise HouseStyleError(f"{name} has a relationship of the kind {kind}, which is refused.")
        if (relation.get("TargetMode") or "").lower() == "external":
            raise HouseStyleError(
                f"{name} refers to something outside of the file ({kind}). Remove all links and the attached template."
            )


def _check_shown(name: str, root: Any) -> None:
    """Check a header or a footer, which stays."""
    for element in root.iter("*"):
        local = element.tag.rpartition("}")[2]
        if local in _ACTIVE_ELEMENTS:
            raise HouseStyleError(f"{name} has an embedded object ({local}), which is refused.")
        for attribute in element.attrib:
            if attribute.rpartition("}")[2] in _LOADING_ATTRIBUTES:
                raise HouseStyleError(f"{name} has an element that loads something ({local}), which is refused.")
    for instruction in _instructions(root):
        words = instruction.split()
        if not words or words[0].upper() not in _FIELDS:
            raise HouseStyleError(f"{name} has the field {instruction.strip()!r:.60}, which is refused.")


def _instructions(root: Any) -> Iterator[str]:
    """Yield the instructions of fields; one may be spread over several runs, and fields may stand in fields."""
    opened: list[str] = []
    for element in root.iter("*"):
        local = element.tag.rpartition("}")[2]
        if local == "fldSimple":
            yield _attribute(element, "instr")
        elif local == "fldChar":
            kind = _attribute(element, "fldCharType")
            if kind == "begin":
                opened.append("")
            elif kind in {"separate", "end"} and opened:
                yield opened.pop()
                opened += ["PAGE"] if kind == "separate" else []  # what follows is its result
        elif local in {"instrText", "delInstrText"}:
            if not opened:
                yield element.text or ""
            else:
                opened[-1] += element.text or ""
    yield from opened


def _attribute(element: Any, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


# --- using it ---------------------------------------------------------------------------------------------------------


def open_house(data: bytes) -> Document:
    """Return a house file as a document without a body, and with no parts but those for looks.

    Raises:
        HouseStyleError: it is damaged, or has a part that is refused.
    """
    import docx  # noqa: PLC0415 - heavy; only the process that makes a DOCX loads it

    check_parts(data)  # its size was checked by the process that has the settings
    try:
        document = docx.Document(io.BytesIO(data))
        _drop_body(document)
        _drop_parts(document)
        drop_settings(document)
    except (KeyError, ValueError, AttributeError, IndexError) as error:
        raise HouseStyleError("The file is damaged, or no .docx file.") from error
    return document


def _drop_body(document: Document) -> None:
    body = document.element.body
    last = body[-1] if len(body) and body[-1].tag.endswith("}sectPr") else None
    for element in list(body):
        if element is not last:
            body.remove(element)
    if last is None:
        from docx.oxml import OxmlElement  # noqa: PLC0415

        body.append(OxmlElement("w:sectPr"))


def _drop_parts(document: Document) -> None:
    """Drop all relationships but those to what gives the looks; parts that no relationship names are not saved."""
    package = document.part.package
    for name, relation in list(package.rels.items()):
        if relation.reltype.rpartition("/")[2] not in {"officeDocument", "core-properties"}:
            del package.rels[name]
    used = {value for element in document.element.body.iter("*") for value in element.attrib.values()}
    for name, relation in list(document.part.rels.items()):
        kind = relation.reltype.rpartition("/")[2]
        if kind not in _KEPT_BY_DOCUMENT or (kind in {"header", "footer"} and name not in used):
            del document.part.rels[name]
        else:
            _drop_parts_of(relation.target_part, kind)


def _drop_parts_of(part: Any, kind: str) -> None:
    for name, relation in list(part.rels.items()):
        is_image = relation.reltype.endswith("/image") and relation.target_part.content_type in _IMAGES
        if kind not in {"header", "footer", "theme"} or not is_image:
            if kind in {"header", "footer"}:
                raise HouseStyleError(
                    f"A {kind} has a part of the kind {relation.reltype.rpartition('/')[2]}; "
                    "only images of PNG, JPEG and GIF are allowed."
                )
            del part.rels[name]


def drop_settings(document: Document) -> None:
    """Drop the settings of a document but those for its looks."""
    settings = document.settings.element
    for element in list(settings):
        if not isinstance(element.tag, str) or element.tag.rpartition("}")[2] not in _KEPT_SETTINGS:
            settings.remove(element)

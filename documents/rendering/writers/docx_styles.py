"""The styles of DOCX files. A house file's own style of the same name is used instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from documents.rendering.writers.docx_body import MAIN

if TYPE_CHECKING:
    from docx.document import Document

_SANS = '<w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:eastAsia="Calibri" w:cs="Calibri"/>'
_MONO = '<w:rFonts w:ascii="Consolas" w:hAnsi="Consolas" w:eastAsia="Consolas" w:cs="Consolas"/>'
_MUTED = '<w:color w:val="5A6370"/>'
_LINE = 'w:val="single" w:sz="4" w:space="0" w:color="C9CFD6"'
_SIZES = {1: 32, 2: 27, 3: 23, 4: 21, 5: 21, 6: 21, 7: 21, 8: 21, 9: 21}  # half points


def _spacing(before: int, after: int, line: int = 0) -> str:
    height = f' w:line="{line}" w:lineRule="auto"' if line else ""
    return f'<w:spacing w:before="{before}" w:after="{after}"{height}/>'


def _size(half_points: int) -> str:
    return f'<w:sz w:val="{half_points}"/><w:szCs w:val="{half_points}"/>'


_BOLD = "<w:b/><w:bCs/>"
_ITALIC = "<w:i/><w:iCs/>"
#: Properties of paragraphs, then of characters, for each style of paragraphs.
_PARAGRAPHS: dict[str, tuple[str, str]] = {
    "Normal": (_spacing(0, 120, 269), _SANS + _size(21)),
    "Title": (_spacing(0, 240), _SANS + _BOLD + '<w:color w:val="1D2126"/>' + _size(48)),
    **{
        f"heading {level}": (
            f'<w:keepNext/><w:keepLines/>{_spacing(360 if level < 3 else 240, 120)}<w:outlineLvl w:val="{level - 1}"/>',
            _SANS + _BOLD + ('<w:color w:val="1D2126"/>' if level < 5 else _MUTED) + _size(size),
        )
        for level, size in _SIZES.items()
    },
    "List Paragraph": (_spacing(0, 60), ""),
    "Quote": (
        '<w:pBdr><w:left w:val="single" w:sz="18" w:space="10" w:color="C9CFD6"/></w:pBdr>'
        f'{_spacing(0, 120)}<w:ind w:left="360"/>',
        _MUTED,
    ),
    "footer": (_spacing(0, 0), _MUTED + _size(16)),
    "toc 1": (_spacing(80, 20), ""),
    "toc 2": (f'{_spacing(0, 20)}<w:ind w:left="240"/>', ""),
    "toc 3": (f'{_spacing(0, 20)}<w:ind w:left="480"/>', ""),
    "Document Contents": (f"<w:keepNext/>{_spacing(120, 60)}", _BOLD + _size(26)),
    "Document Label": (f"<w:keepNext/>{_spacing(120, 40)}", _BOLD),
    "Document Intro": (_spacing(0, 120), _ITALIC + _MUTED),
    "Document Field": (_spacing(60, 60), ""),
    "Document Cell": (_spacing(0, 0), _size(19)),
    "Document Gap": (_spacing(0, 0), _size(12)),
    "Document Code": ('<w:shd w:val="clear" w:color="auto" w:fill="F3F5F7"/>' + _spacing(60, 120), _MONO + _size(17)),
    "Document Provenance": (_spacing(60, 0), _MUTED + _size(17)),
}
_CHARACTERS: dict[str, str] = {
    "Hyperlink": '<w:color w:val="0B4F8A"/><w:u w:val="single"/>',
    "Document Code Text": _MONO + _size(19),
}
_TABLE = (
    f"<w:tblPr><w:tblBorders><w:top {_LINE}/><w:left {_LINE}/><w:bottom {_LINE}/><w:right {_LINE}/><w:insideH {_LINE}/>"
    f'<w:insideV {_LINE}/></w:tblBorders><w:tblCellMar><w:top w:w="60" w:type="dxa"/><w:left w:w="110" w:type="dxa"/>'
    '<w:bottom w:w="60" w:type="dxa"/><w:right w:w="110" w:type="dxa"/></w:tblCellMar></w:tblPr>'
    f'<w:tblStylePr w:type="firstRow"><w:rPr>{_BOLD}</w:rPr><w:tcPr>'
    '<w:shd w:val="clear" w:color="auto" w:fill="F3F5F7"/></w:tcPr></w:tblStylePr>'
)


def add_styles(document: Document, *, language: str, replace: bool) -> dict[str, str]:
    """Add the styles that a document lacks, and return the identifier of each style by its name.

    Args:
        document: the document.
        language: the language of the text.
        replace: whether styles of the same names are replaced, too.
    """
    from docx.oxml import parse_xml  # noqa: PLC0415 - heavy; only the process that makes a DOCX loads it

    styles = document.styles.element
    known = {_name_of(each): each for each in styles.findall(f"{{{MAIN}}}style")}
    taken = {each.get(f"{{{MAIN}}}styleId") for each in known.values()}
    identifiers: dict[str, str] = {}
    for name, xml in _definitions().items():
        present = known.get(name.lower())
        if present is not None and not replace:
            identifiers[name] = present.get(f"{{{MAIN}}}styleId")
            continue
        identifier = present.get(f"{{{MAIN}}}styleId") if present is not None else _free(name, taken)
        identifiers[name] = identifier
        style = parse_xml(xml.replace("@id", identifier).replace("@normal", identifiers["Normal"]))
        if present is not None:
            present.addprevious(style)
            styles.remove(present)
        else:
            styles.append(style)
    if replace:
        _set_language(styles, language)
    return identifiers


def _name_of(style: Any) -> str:
    name = style.find(f"{{{MAIN}}}name")
    return name.get(f"{{{MAIN}}}val", "").lower() if name is not None else ""


def _free(name: str, taken: set[str]) -> str:
    identifier = base = name.title().replace(" ", "")
    number = 1
    while identifier in taken:
        number += 1
        identifier = f"{base}{number}"
    taken.add(identifier)
    return identifier


def _definitions() -> dict[str, str]:
    """Return the XML of all styles by name, with `@id` and `@normal` for identifiers."""
    found: dict[str, str] = {}
    for name, (paragraph, characters) in _PARAGRAPHS.items():
        is_default = ' w:default="1"' if name == "Normal" else ""
        based = "" if name == "Normal" else '<w:basedOn w:val="@normal"/>'
        following = '<w:next w:val="@normal"/>' if name.startswith(("heading", "Title")) else ""
        inner = f"{based}{following}<w:qFormat/><w:pPr>{paragraph}</w:pPr><w:rPr>{characters}</w:rPr>"
        found[name] = _style("paragraph", name, inner, attributes=is_default)
    for name, characters in _CHARACTERS.items():
        found[name] = _style("character", name, f"<w:rPr>{characters}</w:rPr>")
    found["Document Table"] = _style("table", "Document Table", _TABLE)
    return found


def _style(kind: str, name: str, inner: str, *, attributes: str = "") -> str:
    names = f'w:type="{kind}" w:styleId="@id"{attributes}'
    return f'<w:style xmlns:w="{MAIN}" {names}><w:name w:val="{name}"/>{inner}</w:style>'


def _set_language(styles: Any, language: str) -> None:
    for each in styles.iter(f"{{{MAIN}}}lang"):
        each.set(f"{{{MAIN}}}val", language)

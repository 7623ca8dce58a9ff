"""Excel workbooks and pictures."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet
from PIL import Image

from tests.factories.files.documents import archive

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def xlsx(sheets: dict[str, Sequence[Sequence[Any]]], change: Callable[[Workbook], None] | None = None) -> bytes:
    """Return a workbook with rows on each sheet; `change` gets the workbook before it is stored."""
    workbook = Workbook()
    first: Worksheet = workbook.active
    workbook.remove(first)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    if change:
        change(workbook)
    data = io.BytesIO()
    workbook.save(data)
    return data.getvalue()


def raw_xlsx(sheet: str) -> bytes:
    """Return a workbook whose only sheet has this XML as its content."""
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"

    def link(kind: str, target: str) -> str:
        entry = f'<Relationship Id="rId1" Type="{office}/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{package}">{entry}</Relationships>'

    sheets = '<sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets>'
    book = f'<workbook xmlns="{_MAIN}" xmlns:r="{office}">{sheets}</workbook>'
    return archive(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": link("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": book,
            "xl/_rels/workbook.xml.rels": link("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}">{sheet}</worksheet>',
        }
    )


def picture(kind: str, size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """Return a picture of one colour."""
    data = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(data, kind, **options)
    return data.getvalue()


def claimed_png(width: int, height: int) -> bytes:
    """Return a small PNG that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

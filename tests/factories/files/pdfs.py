"""PDF files, written object by object."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
FONT = 3  # the number of the font's object


@dataclass
class Pdf:
    """Objects of a file: 1 is the catalog, 2 the tree of pages, 3 the font."""

    pages: Sequence[str] = ()
    page_entries: str = ""
    catalog_entries: str = ""
    font_entries: str = ""
    title: str = ""
    objects: dict[int, bytes] = field(default_factory=dict)
    encrypt: tuple[str, str] | None = None  # passwords of user and owner

    def add(self, body: str | bytes) -> int:
        """Add an object; return its number."""
        number = max([*self.objects, FONT]) + 1
        self.objects[number] = body.encode() if isinstance(body, str) else body
        return number

    def add_stream(self, data: bytes, entries: str = "") -> int:
        """Add a stream; return its number."""
        head = f"<< /Length {len(data)} {entries} >>\nstream\n".encode()
        return self.add(head + data + b"\nendstream")

    def to_bytes(self) -> bytes:
        """Return the file."""
        kids = [self._page(text) for text in self.pages]
        self.objects.setdefault(1, f"<< /Type /Catalog /Pages 2 0 R {self.catalog_entries} >>".encode())
        tree = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{each} 0 R' for each in kids)}] >>"
        self.objects.setdefault(2, tree.encode())
        entries = f"/Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding {self.font_entries}"
        self.objects.setdefault(FONT, f"<< {entries} >>".encode())
        trailer = "/Root 1 0 R"
        if self.title:
            trailer += f" /Info {self.add(f'<< /Title ({self.title}) >>')} 0 R"
        if self.encrypt:
            trailer += self._encrypt(*self.encrypt)
        return assemble(self.objects, trailer)

    def _page(self, text: str) -> int:
        content = self.add_stream(drawn(text) if text else b"")
        entries = f"/Resources << /Font << /F1 {FONT} 0 R >> >> /Contents {content} 0 R {self.page_entries}"
        return self.add(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {entries} >>")

    def _encrypt(self, user: str, owner: str) -> str:
        """Encrypt all streams by RC4 with 40 bits; return the entries of the trailer."""
        identity = hashlib.md5(b"id", usedforsecurity=False).digest()
        password, owner_password = ((each.encode() + _PADDING)[:32] for each in (user, owner))
        owner_key = hashlib.md5(owner_password, usedforsecurity=False).digest()[:5]
        owner_entry = _rc4(owner_key)(password)
        permissions = (-4).to_bytes(4, "little", signed=True)
        key = hashlib.md5(password + owner_entry + permissions + identity, usedforsecurity=False).digest()[:5]
        for number, body in self.objects.items():
            head, mark, rest = body.partition(b"stream\n")
            if mark:
                salt = number.to_bytes(3, "little") + b"\0\0"
                of_object = hashlib.md5(key + salt, usedforsecurity=False).digest()[:10]
                data = rest.removesuffix(b"\nendstream")
                self.objects[number] = head + mark + _rc4(of_object)(data) + b"\nendstream"
        entries = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{owner_entry.hex()}> /U <{_rc4(key)(_PADDING).hex()}>"
        return f" /Encrypt {self.add(f'<< {entries} >>')} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"


def drawn(text: str) -> bytes:
    """Return the content of a page with lines of text."""
    lines = [each.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for each in text.split("\n")]
    shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
    return f"BT /F1 12 Tf 72 770 Td {shown} ET".encode("cp1252")


def assemble(objects: dict[int, bytes], trailer: str) -> bytes:
    """Return a file of numbered objects, with its table of places."""
    data = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
    places = {}
    for number in sorted(objects):
        places[number] = len(data)
        data += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    size = max(objects) + 1
    table = "".join(
        f"{places[each]:010} 00000 n \n" if each in places else "0000000000 65535 f \n" for each in range(size)
    )
    start = len(data)
    return data + f"xref\n0 {size}\n{table}trailer\n<< /Size {size} {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()


def with_characters(codes: str) -> str:
    """Return a map for a font that reads the bytes from `A` on as these characters."""
    pairs = " ".join(f"<{ord('A') + place:02x}> <{ord(each):04x}>" for place, each in enumerate(codes))
    characters = f"{len(codes)} beginbfchar {pairs} endbfchar"
    return f"begincmap 1 begincodespacerange <00> <ff> endcodespacerange {characters} endcmap"


def simple(*pages: str, title: str = "") -> bytes:
    """Return a file with a text on each page."""
    return Pdf(pages, title=title).to_bytes()


def with_form() -> bytes:
    """Return a page with a text field, two check boxes, and a remark of a reader."""
    pdf = Pdf(["An application"])
    box = "/Type /Annot /Subtype /Widget /Rect [100 500 200 520]"
    fields = [
        pdf.add(f"<< {box} /FT /Tx /T (Name) /V (Ada Lovelace) >>"),
        pdf.add(f"<< {box} /FT /Btn /T (Agreed) /V /Yes /AS /Yes /AP << /N << /Yes 3 0 R /Off 3 0 R >> >> >>"),
        pdf.add(f"<< {box} /FT /Btn /T (Urgent) /V /Off /AS /Off /AP << /N << /Yes 3 0 R /Off 3 0 R >> >> >>"),
    ]
    remark = pdf.add("<< /Type /Annot /Subtype /Text /Rect [10 10 30 30] /T (Grace) /Contents (Please check.) >>")
    references = " ".join(f"{each} 0 R" for each in fields)
    pdf.catalog_entries = f"/AcroForm << /Fields [{references}] >>"
    pdf.page_entries = f"/Annots [{references} {remark} 0 R]"
    return pdf.to_bytes()


def with_attachment(name: str, data: bytes) -> bytes:
    """Return a page with an attached file."""
    pdf = Pdf(["See the attachment"])
    stream = pdf.add_stream(data, "/Type /EmbeddedFile")
    file = pdf.add(f"<< /Type /Filespec /F ({name}) /UF ({name}) /EF << /F {stream} 0 R >> >>")
    pdf.catalog_entries = f"/Names << /EmbeddedFiles << /Names [({name}) {file} 0 R] >> >>"
    return pdf.to_bytes()


def with_endless_tree() -> bytes:
    """Return a file whose tree of pages contains itself and claims a billion pages."""
    pdf = Pdf(["Page"])
    pdf.objects[2] = b"<< /Type /Pages /Count 400 /Kids [2 0 R 2 0 R 2 0 R] >>"
    return pdf.to_bytes()


def with_expanding_content(megabytes: int) -> bytes:
    """Return a page whose content is compressed twice, and expands to spaces."""
    pdf = Pdf()
    content = pdf.add_stream(zlib.compress(compressed_spaces(megabytes), 9), "/Filter [/FlateDecode /FlateDecode]")
    page = pdf.add(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R >>")
    pdf.objects[2] = f"<< /Type /Pages /Count 1 /Kids [{page} 0 R] >>".encode()
    return pdf.to_bytes()


def compressed_spaces(megabytes: int) -> bytes:
    """Return the compressed form of so many spaces; one block of it is compressed, and repeated."""
    block = b" " * (1024 * 1024)
    compressor = zlib.compressobj(9, wbits=-15)
    piece = compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)
    total = 1
    for _ in range(megabytes):
        total = zlib.adler32(block, total)
    return b"\x78\xda" + piece * megabytes + compressor.flush() + total.to_bytes(4, "big")


def with_forms_in_forms(depth: int) -> bytes:
    """Return a page that draws a form ten times, which draws another one ten times, and so on."""
    pdf = Pdf()
    inner = pdf.add_stream(b"0 0 m 1 1 l n", "/Type /XObject /Subtype /Form /BBox [0 0 9 9]")
    for _ in range(depth):
        entries = f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F {inner} 0 R >> >>"
        inner = pdf.add_stream(b"/F Do " * 10, entries)
    content = pdf.add_stream(b"/F Do")
    resources = f"/Resources << /XObject << /F {inner} 0 R >> >>"
    page = pdf.add(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {resources} /Contents {content} 0 R >>")
    pdf.objects[2] = f"<< /Type /Pages /Count 1 /Kids [{page} 0 R] >>".encode()
    return pdf.to_bytes()


def _rc4(key: bytes) -> Callable[[bytes], bytes]:
    def encrypted(data: bytes) -> bytes:
        state, j = list(range(256)), 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) % 256
            state[i], state[j] = state[j], state[i]
        i, j, result = 0, 0, bytearray()
        for each in data:
            i = (i + 1) % 256
            j = (j + state[i]) % 256
            state[i], state[j] = state[j], state[i]
            result.append(each ^ state[(state[i] + state[j]) % 256])
        return bytes(result)

    return encrypted

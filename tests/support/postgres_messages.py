"""The messages that a PostgreSQL client has sent, parsed from bytes (manual, "Message Formats")."""

from __future__ import annotations

import struct
from collections.abc import Iterator

PROTOCOL = 3  # in the upper 16 bits of its number; the lower are its minor version
REQUESTS = {80877102, 80877103, 80877104}  # before it: cancel, TLS, GSSAPI
MOST_STARTUP_BYTES = 10_000  # that a server takes


class Statements:
    """Reads what one connection sends; feed it everything from the first byte on.

    What does not begin as PostgreSQL's connections do has no statements: another protocol, or encrypted bytes.
    """

    def __init__(self) -> None:
        self._unread = b""
        self._begun = False  # past the messages without a type, which begin a connection
        self._foreign = False  # it speaks something else
        self._named: dict[bytes, str] = {}  # prepared statements

    def feed(self, data: bytes) -> list[str]:
        """Return the statements that `data` has carried out, and the kinds of what begins and ends a connection."""
        self._unread = b"" if self._foreign else self._unread + data
        return [said for kind, body in self._messages() if (said := self._said(kind, body))]

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._begun else 0
            if len(self._unread) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self._unread, head)
            if not self._begun and not 8 <= length <= MOST_STARTUP_BYTES:
                self._foreign = True
            elif length < 4:
                raise ValueError(f"A message of PostgreSQL's cannot have {length} bytes.")
            if self._foreign or len(self._unread) < head + length:
                return
            kind, body = self._unread[:head], self._unread[head + 4 : head + length]
            self._unread = self._unread[head + length :]
            if not self._begun:
                (code,) = struct.unpack_from("!i", body)
                self._begun = code >> 16 == PROTOCOL
                self._foreign = not self._begun and code not in REQUESTS
                kind = b"startup"
            if self._foreign:
                return
            yield kind, body

    def _said(self, kind: bytes, body: bytes) -> str:
        if kind == b"startup":
            return "(connect)"
        if kind == b"Q":
            return body.rstrip(b"\0").decode() or "(nothing)"  # a look whether the connection works
        if kind == b"P":
            name, text = body.split(b"\0")[:2]
            self._named[name] = text.decode()
        if kind == b"B":
            return self._named.get(body.split(b"\0")[1], "(prepared before)")
        return "(password)" if kind == b"p" else "(end)" if kind == b"X" else ""

"""A model server with scripted faults, which notices disconnected clients."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.llm import wire_formats

DOCUMENT = {"title": "T", "points": ["p"]}


class Misbehaviour(Enum):
    """What happens instead of an answer."""

    HANG_UP = auto()
    HANG_UP_IN_MID_STREAM = auto()
    BREAK_OFF = auto()  # a stream ends in good order, and too early
    NEVER_ANSWER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer over HTTP."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None  # None: a document, in the language that was spoken
    type: str = "application/json"
    pause: float = 0.0  # seconds after each piece, when it is streamed
    rest: float = 0.0  # seconds between the last of its text and the end, when it is streamed
    hold: threading.Event | None = None  # what the end waits for after the last of its text, when it is streamed
    streamed: Mapping[str, Any] | None = None  # what is streamed, or comes whole, instead of that document


Line = Answer | Misbehaviour


@dataclass
class ModelServer:
    """Says one line after the other, the last one again and again. Speaks OpenAI's chat and Anthropic's messages.

    A request with one of the words of `scripts` in it is answered by the script of that word.
    """

    script: Sequence[Line]
    scripts: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    url: str = ""
    asked: list[Any] = field(default_factory=list)  # bodies of the requests, in the order of their arrival
    reached: threading.Event = field(default_factory=threading.Event)
    said: list[list[float]] = field(default_factory=list)  # when each piece of each stream was sent (monotonic)
    left: list[float] = field(default_factory=list)  # when clients went before the end of their answers (monotonic)
    closing: threading.Event = field(default_factory=threading.Event)
    _counts: Counter[str] = field(default_factory=Counter)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def next_line(self, asked: object) -> Line:
        """Note a request, and return what follows it."""
        self.asked.append(asked)
        text = json.dumps(asked)
        word = next((each for each in self.scripts if each in text), "")
        script = self.scripts.get(word, self.script)
        with self._counting:
            self._counts[word] += 1
            return script[min(self._counts[word], len(script)) - 1]

    def wait_until_left(self, connection: socket.socket) -> None:
        """Keep a client waiting until it leaves."""
        while not self.closing.is_set():
            readable, _, _ = select.select([connection], [], [], 0.05)
            if readable and not connection.recv(1, socket.MSG_PEEK):
                self.left.append(time.monotonic())
                return


class _Handler(BaseHTTPRequestHandler):
    model: ModelServer

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        line = self.model.next_line(asked)
        self.model.reached.set()
        self.close_connection = isinstance(line, Misbehaviour)
        if line is Misbehaviour.NEVER_ANSWER:
            self.model.wait_until_left(self.connection)
        elif line is Misbehaviour.HANG_UP_IN_MID_STREAM:
            self._stream(list(wire_formats.pieces(_document(self.path)))[:3], length=100_000)
        elif line is Misbehaviour.BREAK_OFF:
            self._stream(list(wire_formats.pieces(_document(self.path)))[:3])
        elif isinstance(line, Answer):
            self._answer(line, streamed=bool(asked.get("stream")))

    def _answer(self, answer: Answer, *, streamed: bool) -> None:
        if streamed and answer.body is None:
            whole = list(wire_formats.pieces(answer.streamed or _document(self.path)))
            self._stream(whole, pause=answer.pause, rest=answer.rest, hold=answer.hold)
        else:
            self._say(answer)

    def _stream(
        self,
        pieces: Sequence[bytes],
        *,
        pause: float = 0.0,
        rest: float = 0.0,
        hold: threading.Event | None = None,
        length: int | None = None,
    ) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        said: list[float] = []
        self.model.said.append(said)
        try:
            for number, piece in enumerate(pieces):
                if number == len(pieces) - wire_formats.ENDING:
                    self.model.closing.wait(rest)
                    while hold is not None and not (hold.is_set() or self.model.closing.is_set()):
                        hold.wait(0.05)
                self.wfile.write(piece)
                said.append(time.monotonic())
                self.model.closing.wait(pause)
        except ConnectionError:  # who asked has left
            self.model.left.append(time.monotonic())

    def _say(self, answer: Answer) -> None:
        body = (answer.streamed or _document(self.path)) if answer.body is None else answer.body
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        # The second one sends the present moment as `Date`.
        (self.send_response_only if "Date" in answer.headers else self.send_response)(answer.status)
        headers = {"Content-Type": answer.type, "Content-Length": str(len(payload)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # those who connect while more are waiting try again after seconds


@contextmanager
def model_server(
    *script: Line, scripts: Mapping[str, Sequence[Line]] | None = None, port: int = 0
) -> Iterator[ModelServer]:
    """Provide a running server; port 0: one that is free."""
    model = ModelServer(script, scripts or {})
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"model": model}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield model
    finally:
        model.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _document(path: str) -> dict[str, Any]:
    say = wire_formats.message if path.endswith("/messages") else wire_formats.completion
    return say("submit_document", DOCUMENT)

"""A model server on this machine that misbehaves as it is told, and sees who goes away."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOCUMENT = {"title": "T", "points": ["p"]}


class Misbehaviour(Enum):
    """What happens instead of an answer."""

    HANG_UP = auto()
    NEVER_ANSWER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer over HTTP."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None  # None: a document, in the language that was spoken
    type: str = "application/json"


Line = Answer | Misbehaviour


@dataclass
class ModelServer:
    """Says one line after the other, the last one again and again. Speaks OpenAI's chat and Anthropic's messages."""

    script: Sequence[Line]
    url: str = ""
    asked: list[Any] = field(default_factory=list)  # bodies of the requests, in the order of their arrival
    reached: threading.Event = field(default_factory=threading.Event)
    left: list[float] = field(default_factory=list)  # when clients closed their connections unanswered (monotonic)
    closing: threading.Event = field(default_factory=threading.Event)

    def next_line(self) -> Line:
        """Return what follows the request that was noted last."""
        return self.script[min(len(self.asked), len(self.script)) - 1]

    def wait_until_left(self, connection: socket.socket) -> None:
        """Keep a client waiting until it leaves."""
        while not self.closing.is_set():
            readable, _, _ = select.select([connection], [], [], 0.05)
            if readable and not connection.recv(1, socket.MSG_PEEK):
                self.left.append(time.monotonic())
                return


@contextmanager
def model_server(*script: Line) -> Iterator[ModelServer]:
    """Provide a running server."""
    model = ModelServer(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            line = model.next_line()
            model.reached.set()
            self.close_connection = isinstance(line, Misbehaviour)
            if line is Misbehaviour.NEVER_ANSWER:
                model.wait_until_left(self.connection)
            if isinstance(line, Answer):
                self._say(line)

        def _say(self, answer: Answer) -> None:
            body = _document(self.path) if answer.body is None else answer.body
            payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(answer.status)
            headers = {"Content-Type": answer.type, "Content-Length": str(len(payload)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
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
    if path.endswith("/messages"):
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-5",
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "submit_document", "input": DOCUMENT}],
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    function = {"name": "submit_document", "arguments": json.dumps(DOCUMENT)}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-5",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }

"""A model server that survives the whole chaos run and counts its requests, to detect repeated calls."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.llm import wire_formats

MARK = re.compile(r"MARK-\d+")
_NUMBERED = re.compile(r"\^([A-Za-z]+-)\[0-9\]\{1,3\}\$")  # the catalog's patterns of ids

Key = tuple[str, str, str]  # the mark in the brief, the document asked for, and the hash of the whole prompt


@dataclass
class Call:
    """One call, in seconds of `time.monotonic`."""

    asked_by: str  # the key that it came with
    began: float
    ended: float = math.inf  # when all of the answer was sent, or the connection was lost


class CountingModel:
    """Speaks OpenAI's chat: hands in a valid document, after asking a question where it may and the mark says so."""

    def __init__(self, *, seed: int, seconds: tuple[float, float]) -> None:
        self.bought: Counter[Key] = Counter()
        self.calls: defaultdict[Key, list[Call]] = defaultdict(list)  # the same calls, oldest first
        self.url = ""
        self._seconds = seconds
        self._chance = random.Random(seed)  # noqa: S311 - it has to be repeatable
        self._lock = threading.Lock()

    def answer(self, body: Mapping[str, Any], asked_by: str) -> tuple[dict[str, Any], Call]:
        """Return the answer to a request, some time later, and the call that it belongs to."""
        prompt = json.dumps(body["messages"])
        tools = {tool["function"]["name"]: tool["function"] for tool in body["tools"]}
        mark = MARK.search(prompt)
        assert mark is not None, "a brief without its mark"
        document = str(tools["submit_document"]["description"])
        with self._lock:
            key = (mark.group(), document, hashlib.sha256(prompt.encode()).hexdigest())
            self.bought[key] += 1
            self.calls[key].append(call := Call(asked_by, time.monotonic()))
            seconds = self._chance.uniform(*self._seconds)
        time.sleep(seconds)
        asks = "ask_clarification" in tools and int(mark.group()[5:]) % 3 == 0 and 'kind=\\"answer\\"' not in prompt
        name = "ask_clarification" if asks else "submit_document"
        arguments = {"questions": [{"text": "How many?"}]} if asks else sample(tools[name]["parameters"])
        return wire_formats.completion(name, arguments, tokens=(100, 50)), call


def sample(schema: Mapping[str, Any], number: int = 1) -> Any:
    """Return the least value that is valid against a schema of the catalog; of a collection, two items at least."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"]
    if kind == "object":
        return {name: sample(schema["properties"][name], number) for name in schema.get("required", ())}
    if kind == "array":
        least = max(schema.get("minItems", 0), 2 if "id" in schema["items"].get("properties", ()) else 0)
        return [sample(schema["items"], each) for each in range(1, least + 1)]
    if kind == "string":
        return _text(schema, number)
    return {"boolean": True, "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1)}[kind]


def _text(schema: Mapping[str, Any], number: int) -> str:
    numbered = _NUMBERED.fullmatch(schema.get("pattern", ""))
    if numbered is not None:
        return f"{numbered[1]}{number}"
    return "EUR" if "pattern" in schema else "x" * max(schema.get("minLength", 1), 1)


@contextmanager
def counting_model(*, seed: int, seconds: tuple[float, float]) -> Iterator[CountingModel]:
    """Provide a running server whose answers take between so many seconds."""
    model = CountingModel(seed=seed, seconds=seconds)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            streamed, (answer, call) = bool(body.get("stream")), model.answer(body, key)
            payload = b"".join(wire_formats.pieces(answer)) if streamed else json.dumps(answer).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except ConnectionError:
                self.close_connection = True  # the client was killed
            finally:
                call.ended = time.monotonic()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: object) -> None:
            """Say nothing: those who ask are killed all the time."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

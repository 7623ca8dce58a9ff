"""One HTTP request as the server holds it: a body with a limit, an answer that waits for slow clients."""

from __future__ import annotations

from daphne.http_protocol import HTTPFactory, WebRequest  # isort: skip  # imports no reactor itself

import asyncio
import json
from http import HTTPStatus
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import RESPONSES
from uuid_utils.compat import uuid7
from zope.interface import implementer

from orchestrator.problems import CONTENT_TYPE, TooLarge, problem_body

SMALL_BYTES = 16_384  # what is larger, as the log that a client catches up on, leaves when its turn comes
LINGER_SECONDS = 2.0  # for a client to read an answer that came before its request had ended

for _status in HTTPStatus:  # Twisted's own list is older
    RESPONSES.setdefault(_status.value, _status.phrase.encode())


@implementer(IPushProducer)
class FlowControl:
    """Closed while the client's connection takes nothing more."""

    def __init__(self) -> None:
        self._opens: asyncio.Event | None = None  # None while it is open: most never close
        self._for_good = False

    async def passed(self) -> None:
        """Wait until the connection takes more."""
        if self._opens is not None:
            await self._opens.wait()

    def pauseProducing(self) -> None:
        """Close it; Twisted calls this when its buffer is full."""
        if not self._for_good and self._opens is None:
            self._opens = asyncio.Event()

    def resumeProducing(self) -> None:
        """Open it; Twisted calls this when its buffer is empty."""
        if self._opens is not None:
            self._opens.set()
            self._opens = None

    def stopProducing(self) -> None:
        """Open it for good: the connection is lost or closes soon, nobody shall wait for it."""
        self._for_good = True
        self.resumeProducing()


class ReceiveQueue:
    """What the application is told of one request, in order, for one reader. An `asyncio.Queue` takes 3 KB."""

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._arrived: asyncio.Future[None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def get(self) -> dict[str, Any]:
        """Wait for the next message and take it."""
        while not self._messages:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._messages.pop(0)


class BoundedRequest(WebRequest):
    """A request that is refused when its body is too large; WebSockets are not offered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.gate = FlowControl()
        self._received = 0
        self._refused = False
        super().__init__(*arguments, **options)

    def __repr__(self) -> str:
        """Return what logs show of it: not the query, which may carry secrets."""
        return f"<{self.method.decode('latin-1')} {self.path.decode('latin-1')}>"

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that is announced as too large."""
        super().gotLength(length)
        if length is not None and length > self.server.max_body_bytes:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body, up to the limit; what comes after it is thrown away."""
        self._received += len(data)
        if self._received <= self.server.max_body_bytes:
            super().handleContentChunk(data)
        elif not self._refused:
            self._refuse()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Have the request answered, unless that was done."""
        if self._refused:
            self.channel.loseConnection()
        else:
            self.requestHeaders.removeHeader(b"Upgrade")
            super().requestReceived(command, path, version)

    def send_now(self, part: bytes) -> bool:
        """Give a small part of the answer to the kernel at once; False, and nothing is done, when it must be buffered.

        That is most of what an event costs otherwise: the reactor watches the connection until it can be written to,
        which it almost always can, and then no more.
        """
        if not self.chunked or self.finished or self._disconnected or not 0 < len(part) <= SMALL_BYTES:
            return False
        transport = self.channel.transport
        if transport.dataBuffer or transport._tempDataBuffer or not transport.connected:  # noqa: SLF001 - Twisted and daphne give no other way
            return False
        chunk = b"%x\r\n%b\r\n" % (len(part), part)
        sent = transport.writeSomeData(chunk)
        if not isinstance(sent, int):
            return False  # the connection is lost, as the reactor will find out
        if sent < len(chunk):
            transport.write(chunk[sent:])
        return True

    def open_gate(self) -> None:
        """Let the connection say from now on when it takes no more."""
        if self.finished or self.channel is None or self.producer:
            return
        self.registerProducer(self.gate, True)
        if self.channel._waitingForTransport:  # full already, of an earlier answer  # noqa: SLF001 - Twisted and daphne give no other way
            self.gate.pauseProducing()

    def close_after_answer(self) -> None:
        """End the connection with this answer, and wait for a slow client no longer."""
        self.gate.stopProducing()
        if not self.finished and self.channel is not None:
            self.channel.persistent = False

    def finish(self) -> None:
        """End the answer."""
        if self.producer:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        """Let go of the application: nobody reads its answer any more."""
        self.gate.stopProducing()
        super().connectionLost(reason)

    def _refuse(self) -> None:
        """Answer 413 at once, then read on a little: a connection closed on a client that sends loses the answer."""
        self._refused = True
        request_id = str(uuid7())
        problem = problem_body(
            status=413,
            code=TooLarge.default_code,
            detail=TooLarge.default_detail,
            instance=self.channel._path.partition(b"?")[0].decode("latin-1"),  # noqa: SLF001 - Twisted and daphne give no other way
            request_id=request_id,
        )
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 413 Content Too Large\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        transport = self.channel.transport
        transport.write(head.encode() + body)
        transport.loseWriteConnection()
        reactor.callLater(LINGER_SECONDS, transport.abortConnection)


class RequestFactory(HTTPFactory):
    """Makes the server's kind of request."""

    def buildProtocol(self, addr: Any) -> Any:
        """Return the protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol

    def log(self, _request: BoundedRequest) -> None:
        """Leave the access log to the server: Twisted's own shows queries."""

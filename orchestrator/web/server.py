"""The web server: daphne with back-pressure, a limit on request bodies, and a graceful shutdown."""

from __future__ import annotations

from daphne.server import Server as DaphneServer  # isort: skip  # installs the reactor, so it must precede all other imports of Twisted

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from daphne.endpoints import build_endpoint_description_strings
from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import STDLibLogObserver, globalLogBeginner
from twisted.python.failure import Failure

from orchestrator.web.daphne_protocol import BoundedRequest, ReceiveQueue, RequestFactory
from orchestrator.web.loop_monitor import monitor_loop

if TYPE_CHECKING:  # this import needs Django's apps; the server does not
    from executions.progress.hub import StreamHub

WORKER_EXTRA_SECONDS = 5.0  # for the worker to release executions that did not end within the grace period
FLUSH_SECONDS = 2.0  # for the last bytes of responses to be sent
FLUSH_POLL_SECONDS = 0.02
GARBAGE_OBJECTS = 10_000  # threshold of a young collection; an event creates objects for each stream

logger = logging.getLogger(__name__)

RunWorker = Callable[[asyncio.Event], Awaitable[None]]


class CannotListen(Exception):
    """The address is in use or forbidden."""


class Server(DaphneServer):
    """A web process: `run()` serves until SIGTERM or SIGINT, then shuts down gracefully and returns.

    Streams end between two events. Requests and the worker's jobs have `grace_seconds` to finish.
    """

    def __init__(
        self,
        application: Any,
        *,
        host: str,
        port: int,
        streams: StreamHub,
        max_body_bytes: int,
        grace_seconds: float,
        stall_ms: int = 0,
    ) -> None:
        super().__init__(application, build_endpoint_description_strings(host=host, port=port), server_name="")
        self.max_body_bytes = max_body_bytes
        self.failed = False  # the worker ended unexpectedly, or the shutdown failed
        self.on_ready: Callable[[], None] = lambda: None
        self.run_worker: RunWorker | None = None
        self._streams = streams
        self._grace_seconds = grace_seconds
        self._stall_ms = stall_ms
        self._stop_monitor: Callable[[], None] = lambda: None
        self._ports: list[Any] = []
        self._listen_error: Failure | None = None
        self._stopping = asyncio.Event()
        self._worker: asyncio.Future[None] | None = None

    def run(self) -> None:
        """Serve until a shutdown signal, and shut down gracefully.

        Raises:
            CannotListen: the address is in use or forbidden.
        """
        self.connections: dict[BoundedRequest, dict[str, Any]] = {}
        globalLogBeginner.beginLoggingTo([STDLibLogObserver("twisted")], redirectStandardIO=False, discardBuffer=True)
        for endpoint in self.endpoints:
            listening = serverFromString(reactor, endpoint).listen(RequestFactory(self))
            listening.addCallbacks(self._ports.append, self._listen_failed)
        if self._listen_error is not None:
            raise CannotListen(self._listen_error.getErrorMessage())
        asyncio.set_event_loop(reactor._asyncioEventloop)  # noqa: SLF001 - there is no public way
        reactor.callLater(1, self.application_checker)
        reactor.callWhenRunning(self._start)
        reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the reactor replaces only this handler
        gc.set_threshold(GARBAGE_OBJECTS)
        reactor.run()

    def _listen_failed(self, failure: Failure) -> None:
        self._listen_error = failure

    def _start(self) -> None:
        self._stop_monitor = monitor_loop(
            reactor._asyncioEventloop,  # noqa: SLF001 - there is no public way
            limit_ms=self._stall_ms,
        )
        if self.run_worker is not None:
            self._worker = asyncio.ensure_future(self.run_worker(self._stopping))
            self._worker.add_done_callback(self._worker_ended)
        self.on_ready()

    def _worker_ended(self, worker: asyncio.Future[None]) -> None:
        if not self._stopping.is_set():
            self.failed = True
            logger.critical("The worker ended unexpectedly; the server stops.", exc_info=worker.exception())
            self.stop()

    def create_application(self, protocol: BoundedRequest, scope: dict[str, Any]) -> ReceiveQueue | None:
        """Start the application for a request; return its message queue, or None if the client has disconnected."""
        if protocol not in self.connections:
            return None
        queue = ReceiveQueue()
        scope.setdefault("asgi", {"version": "3.0"})
        answering = self.application(scope, queue.get, partial(self.handle_reply, protocol))
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(answering)
        return queue

    async def handle_reply(self, protocol: BoundedRequest, message: dict[str, Any]) -> None:
        """Send a part of a response; return when the client's connection accepts more."""
        if message.get("more_body") and protocol.send_now(message.get("body", b"")):
            return
        await super().handle_reply(protocol, message)
        if message["type"] == "http.response.start":
            protocol.enable_flow_control()
        elif message.get("more_body"):
            await protocol.flow_control.wait_until_writable()

    def _shut_down(self) -> Deferred[None]:
        return Deferred.fromFuture(asyncio.ensure_future(self._drain())).addErrback(self._drain_failed)

    def _drain_failed(self, failure: Failure) -> None:
        # Twisted would ignore the failure.
        self.failed = True
        logger.critical("The shutdown failed: %s", failure.getTraceback())

    async def _drain(self) -> None:
        for port in self._ports:
            port.stopListening()
        self._stopping.set()
        self._streams.end()
        for protocol in self.connections:
            protocol.close_after_answer()
        await self._finish()
        await self._flush()
        await self._streams.close()
        self._stop_monitor()

    async def _finish(self) -> None:
        """Wait for requests and the worker, and cancel those that do not end in time."""
        deadline = asyncio.get_running_loop().time() + self._grace_seconds + WORKER_EXTRA_SECONDS
        while running := self._running():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait(running, timeout=left)
        if running:
            logger.warning("%d requests or workers did not end in time, and are cancelled.", len(running))
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=FLUSH_SECONDS)

    def _running(self) -> list[asyncio.Future[None]]:
        tasks = [details.get("application_instance") for details in self.connections.values()]
        return [task for task in (*tasks, self._worker) if task is not None and not task.done()]

    async def _flush(self) -> None:
        """Wait until the last bytes are sent; the reactor would drop them."""
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS
        while any(isinstance(each, tcp.Server) for each in reactor.getWriters()):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(FLUSH_POLL_SECONDS)

"""`manage.py serve`: the web server and a worker in one process."""

from __future__ import annotations

from orchestrator.web.server import CannotListen, Server  # isort: skip  # must precede all imports of Twisted's reactor

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from access.people import first_account
from access.url_secrets import hide_invitation_token
from executions.worker.worker import Worker
from orchestrator.asgi import application, streams
from orchestrator.command_line import command_text
from orchestrator.embedded_postgres import instance
from orchestrator.web import lifecycle


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C, then lets requests and jobs finish."""

    help = "Run the web server and, unless --no-worker is given, a worker in the same process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (HOST)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="TCP port to listen on (PORT)")
        parser.add_argument("--no-worker", action="store_true", help="run no worker; run `manage.py worker` separately")
        parser.add_argument("--access-log", action="store_true", help="print a line for every request")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve until a shutdown signal.

        Raises:
            CommandError: the address is not available, or the server ended with an error.
        """
        lifecycle.end_on_signals()
        if not 1 <= options["port"] <= 65_535:
            raise CommandError(f"PORT={options['port']} is invalid; choose a port from 1 to 65535.")
        lifecycle.prepare_embedded_database()
        asyncio.run(lifecycle.wait_for_database())
        setup_secret = "" if settings.DATABASE_URL else self._first_secret()
        server = self._server(options, setup_secret)
        stop_keeping = None if settings.DATABASE_URL else instance.keep_running(settings.DATA_DIR)
        try:
            server.run()
        except CannotListen as error:
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {error}") from error
        finally:
            if stop_keeping is not None:
                stop_keeping()
        if server.failed:
            raise CommandError("The server ended with an error; see the log.")

    def _first_secret(self) -> str:
        """Return the secret for the first account of the embedded database; empty if there is a user."""
        try:
            return first_account.new_secret() if first_account.is_needed() else ""
        finally:
            connections.close_all()

    def _server(self, options: dict[str, Any], setup_secret: str) -> Server:
        server = Server(
            application,
            host=options["host"],
            port=options["port"],
            streams=streams,
            max_body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            grace_seconds=settings.SHUTDOWN_GRACE_SECONDS,
            stall_ms=settings.LOOP_STALL_MS,
        )
        server.on_ready = lambda: self._greet(options["host"], options["port"], setup_secret)
        if not options["no_worker"]:
            server.run_worker = Worker(lifecycle.worker_name()).run
        if options["access_log"]:
            server.action_logger = self._log_request
        return server

    def _greet(self, host: str, port: int, setup_secret: str) -> None:
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        url = f"http://{shown}:{port}"
        if setup_secret:
            self.stdout.write(f"Begin     {url}/setup/?key={setup_secret}  (your account, then an example)")
        self.stdout.write(
            f"Console   {url}/\n"
            f"API docs  {url}/api/v1/docs\n"
            f"Admin     {url}/admin/\n"
            f"A token   {command_text('issue_token', 'NAME')}  (--superuser for the admin)\n"
            f"ready {url}"
        )
        self.stdout.flush()

    def _log_request(self, _protocol: object, _action: str, details: dict[str, Any]) -> None:
        # Without the query and the token of an invitation, which are secrets.
        path = hide_invitation_token(details["path"].partition("?")[0])
        milliseconds = details["time_taken"] * 1000
        self.stdout.write(f"{details['client']} {details['method']} {path} {details['status']} {milliseconds:.0f} ms")

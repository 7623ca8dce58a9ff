"""`manage.py demo`: a workflow from start to end, over the API."""

from __future__ import annotations

import secrets
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape

from common.sources.text_source import SourceError, read_text
from orchestrator.demo import show
from orchestrator.demo.answer_sheet import AnswerSheet
from orchestrator.demo.answers import ask, ask_decision
from orchestrator.demo.client import ApiClient
from orchestrator.demo.server import ROOT, DemoError, issue_token, running_server
from orchestrator.web import process_tree

_USER, _PASSWORD_BYTES = "demo", 12
BRIEFS, ANSWERS = ROOT / "examples" / "briefs", ROOT / "examples" / "answers"


class Command(BaseCommand):
    """Starts a server, runs a workflow on a brief, displays the results, and stops the server."""

    help = "Run a workflow on a brief from start to end, and display the documents and their costs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--brief", type=Path, default=BRIEFS / "tool-library.md", help="a text file")
        parser.add_argument("--workflow", default="strategy-document", help="id of a workflow")
        parser.add_argument("--answers", type=Path, help="answers to questions (see examples/answers/)")
        parser.add_argument(
            "--no-keep", action="store_true", help="end with the run; otherwise, in a terminal, the page stays open"
        )
        parser.add_argument("--dry-run", action="store_true", help="use the rehearsal model, even if there are keys")

    def handle(self, *, brief: Path, workflow: str, answers: Path | None, dry_run: bool, **options: Any) -> None:
        """Run the demo.

        Raises:
            CommandError: the demo failed, or the execution failed.
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have background jobs ignore it
        process_tree.end_with_parent()
        console, self._keeps_open = Console(), sys.stdout.isatty() and not options["no_keep"]
        data_dir = settings.DATA_DIR / "demo"
        try:
            text = _read(brief)
            body = {"workflow_id": workflow, "scope_type": "demo", "scope_id": brief.stem, "input": text}
            self._serve_and_run(console, data_dir, {**body, "dry_run": dry_run}, _sheet(brief, answers))
        except DemoError as error:
            raise CommandError(str(error)) from error
        except httpx.HTTPError as error:
            raise CommandError(f"The server does not respond: {error}. See {data_dir / 'server.log'}") from error
        except EOFError:
            raise CommandError("The input ended before every question was answered.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=130) from None

    def _serve_and_run(  # noqa: PLR0917 - a single caller
        self, console: Console, data_dir: Path, body: dict[str, Any], sheet: AnswerSheet | None
    ) -> None:
        console.print("[dim]starting PostgreSQL, the web server and a worker …[/]")
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        with running_server(data_dir) as url:
            client = ApiClient(url, issue_token(data_dir, _USER, password))
            try:
                if client.get(f"/workflows/{body['workflow_id']}")["definition"].get("brief") == "none":
                    del body["input"]
                page = self._run(console, client, url, body, sheet)
            finally:
                client.close()
            if self._keeps_open:
                _keep_open(console, page, password)
        show.next_steps(console)

    def _run(  # noqa: PLR0917 - a single caller
        self, console: Console, client: ApiClient, url: str, body: dict[str, Any], sheet: AnswerSheet | None
    ) -> str:
        """Run the workflow, display the results, and return the address of the execution's page."""
        started = client.post("/executions/", body)
        execution_id = started["execution_id"]
        console.print(
            f"[bold]{escape(body['workflow_id'])}[/] on [bold]{escape(body['scope_id'])}[/]  "
            f"[dim]{url}/executions/{execution_id}[/]"
        )
        for event in client.follow(execution_id):
            console.print(show.event_line(event))
            if event["event_type"] == "clarification_needed":
                given = _answer(console, event["data"]["questions"], sheet)
                answers = {key: client.upload(each) if isinstance(each, Path) else each for key, each in given.items()}
                path = f"/executions/{execution_id}/steps/{event['step_id']}/clarification"
                client.post(path, {"answers": answers})
            if event["event_type"] == "acceptance_needed":
                decision = _decide(console, event, sheet)
                client.post(f"/executions/{execution_id}/steps/{event['step_id']}/acceptance", decision)
        _show(console, client, execution_id)
        return f"{url}/executions/{execution_id}/"


def _keep_open(console: Console, page: str, password: str) -> None:
    """Keep the server until Ctrl-C, so that a person can read in the browser."""
    console.print(f"\nThe page stays open until Ctrl-C:  [bold]{page}[/]\nLog in as {_USER} with {password}")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        console.print()


def _show(console: Console, client: ApiClient, execution_id: str) -> None:
    """Display the documents and the costs.

    Raises:
        DemoError: the execution did not complete.
    """
    ended = client.get(f"/executions/{execution_id}")
    scope = ("dry-run", execution_id) if ended["dry_run"] else (ended["scope_type"], ended["scope_id"])
    made = client.all("/documents/", execution_id=execution_id)
    for each in reversed(made):
        if (each["scope_type"], each["scope_id"]) == scope:
            show.document(console, {**each, **client.get(f"/documents/{each['id']}")})
    show.items(console, client.all(f"/executions/{execution_id}/steps"))
    show.costs(console, client.get(f"/telemetry/executions/{execution_id}/costs"))
    if made and all(each["prepared"] for each in made):
        console.print("[yellow]This was an example that was prepared:[/] no model was asked.")
    elif ended["dry_run"]:
        console.print(
            "[yellow]This was a dry run:[/] a free rehearsal model replaced all models; the texts have no meaning."
        )
    elif ended["rehearsal"]:
        console.print(
            "[yellow]This was a rehearsal:[/] without a key, a free model rearranged the words of the brief. "
            "Set ANTHROPIC_API_KEY, OPENAI_API_KEY or GOOGLE_API_KEY for a real model."
        )
    if ended["status"] != "completed":
        reason = ended["error"]["message"] if ended["error"] else ""
        raise DemoError(f"The execution {ended['status']}. {reason}".strip())


def _read(brief: Path) -> str:
    try:
        return read_text(brief)
    except SourceError as error:
        raise DemoError(f"The brief {brief} cannot be read: {error}") from error


def _sheet(brief: Path, answers: Path | None) -> AnswerSheet | None:
    """Return the given answers, or the bundled answers of a bundled brief; None: ask at the terminal."""
    bundled = ANSWERS / f"{brief.stem}.yaml"
    if answers is None and brief.resolve().parent == BRIEFS and bundled.exists():
        answers = bundled
    return None if answers is None else AnswerSheet(answers)


def _decide(console: Console, event: dict[str, Any], sheet: AnswerSheet | None) -> dict[str, Any]:
    data = event["data"]
    given = sheet.decide(event["step_id"]) if sheet else None
    if given is None and sys.stdin.isatty():
        given = ask_decision(console)
    if given is None:
        raise DemoError(
            "A decision is needed, but there is no terminal; use make demo ANSWERS=path (see examples/answers/)"
        )
    console.print(f"  [magenta]A[/] {given['decision'].replace('_', ' ')} {escape(given['comment'])}".rstrip())
    return {**given, "document_version": data["document_version"]}


def _answer(console: Console, questions: list[dict[str, Any]], sheet: AnswerSheet | None) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for question in questions:
        console.print(f"  [magenta]Q[/] {escape(question['text'])}")
        if question["why"]:
            console.print(f"    [dim]{escape(question['why'])}[/]")
        given = sheet.answer(question) if sheet else None
        if given is None and sys.stdin.isatty():
            given = ask(console, question)
        if given is None and question["required"] and question["default"] is None:
            raise DemoError(
                "An answer is needed, but there is no terminal; use make demo ANSWERS=path (see examples/answers/)"
            )
        if given is not None:
            answers[question["id"]] = given
            console.print(f"  [magenta]A[/] {escape(str(given))}")
    return answers

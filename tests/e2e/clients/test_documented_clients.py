"""Third-party clients with the code of docs/clients, while the server is killed and restarted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser

from tests.e2e.console.browser import browsing, enter, wait_in_page
from tests.e2e.processes import ROOT, Machine, start_execution, wait_for_status, wait_until

pytestmark = pytest.mark.e2e

BRIEF = "# Tool library\n\nThe city lends 400 tools from 3 branches. The budget is 20,000 EUR, decided by Ms Ode."
PACKAGES = ("eventsource@3.0.7", "eventsource-parser@3.1.1")
END_SECONDS = 180


def shown(page: str, language: str) -> list[str]:
    """Return the code of a page of docs/clients, in the order in which it stands there."""
    text = (ROOT / "docs" / "clients" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def listened(code: str) -> list[str]:
    """Return the types of events that this code listens to one by one; none when it hears all."""
    return [
        name for listed in re.findall(r"for \(const type of \[(.*?)\]", code) for name in re.findall(r"\w+", listed)
    ]


class Case:
    """An execution whose server is killed after the first event was seen, and which then goes on."""

    def __init__(self, machine: Machine, server: subprocess.Popen[bytes], client: httpx.Client) -> None:
        self.machine, self.client = machine, client
        self._server = server
        self.execution_id = start_execution(client, BRIEF, workflow_id="vendor-assessment")
        self.environment = {
            **os.environ,
            "API": f"{machine.url}/api/v1",
            "E": self.execution_id,
            "TOKEN": client.headers["Authorization"].split()[1],
        }

    def interrupt(self) -> None:
        """Kill the server; have the execution go on, and another server come."""
        self._server.send_signal(signal.SIGKILL)
        self._server.wait()
        self.machine.start("worker")
        self.machine.serve("--no-worker")

    def ended(self, *types: str) -> list[str]:
        """Wait until the execution has ended; return "id type" of its events, only of these types if any are named."""
        wait_for_status(self.client, self.execution_id, "completed")
        asked: dict[str, Any] = {"limit": 200, **({"types": ",".join(types)} if types else {})}
        found = self.client.get(f"/executions/{self.execution_id}/events", params=asked).json()["data"]
        return [f"{each['sequence']} {each['event_type']}" for each in found]


@pytest.fixture
def case(fresh: Machine) -> Iterator[Case]:
    """An execution that has begun, and a server."""
    server = fresh.serve("--no-worker")
    with fresh.client("ada") as client:
        yield Case(fresh, server, client)


@contextmanager
def running(case: Case, folder: Path, *command: str) -> Iterator[Callable[[], list[str]]]:
    """Run a program; provide what returns the lines that it has written."""
    output = folder / "output"
    with output.open("wb") as written:
        process = subprocess.Popen(command, cwd=folder, env=case.environment, stdout=written, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "1 execution_created" in output.read_text(), what="the first event")
        yield lambda: output.read_text().splitlines()
        assert process.wait(END_SECONDS) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.torture
def test_curl_shows_a_stream_and_a_shell_comes_back(case: Case, tmp_path: Path) -> None:
    once, loop = shown("curl.md", "sh")
    with running(case, tmp_path, "sh", "-c", loop) as lines:
        case.interrupt()
        wanted = case.ended()
    assert lines() == wanted
    command = ["sh", "-c", once]
    told = subprocess.run(
        command, env=case.environment, capture_output=True, text=True, timeout=END_SECONDS, check=True
    )
    assert re.findall(r"^id: (.*)$", told.stdout, re.MULTILINE) == [each.split()[0] for each in wanted]


def test_httpx_sse_reads_a_stream_and_goes_on_from_any_event(shared: Machine) -> None:
    [code] = shown("python.md", "python")
    with shared.client("ada") as client:
        case = Case(shared, shared.processes[0], client)
        wanted = case.ended()
    for last in (0, len(wanted) - 1):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**case.environment, "LAST": str(last)},
            capture_output=True,
            text=True,
            timeout=END_SECONDS,
            check=True,
        )
        assert done.stdout.splitlines() == wanted[last:]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the npm packages."""
    folder = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    assert npm is not None
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.node
@pytest.mark.npm
def test_the_eventsource_of_npm_tells_each_event_once(case: Case, packages: Path) -> None:
    code = shown("eventsource.md", "js")[1]
    (packages / "client.mjs").write_text(code, encoding="utf-8")
    with running(case, packages, "node", "client.mjs") as lines:
        case.interrupt()
        wanted = case.ended(*listened(code))
    assert lines() == wanted


@pytest.mark.browser
@pytest.mark.parametrize("page_of", ["browser.md", "eventsource.md"])
@pytest.mark.torture
def test_the_code_for_pages_shows_each_event_once_in_chromium(browser: Browser, case: Case, page_of: str) -> None:
    code = shown(page_of, "js")[0]
    with browsing(browser, bypass_csp=True) as context:
        page = context.new_page()
        if page_of == "browser.md":
            enter(page, case.machine, "ada")
        ticket = case.client.post(f"/executions/{case.execution_id}/stream-tickets").json()["ticket"]
        page.goto(f"{case.machine.url}/healthz")
        given = {"execution": case.execution_id, "ticket": ticket}
        page.evaluate("given => Object.assign(document.body.dataset, given)", given)
        page.add_script_tag(content=code, type="module")
        told = page.locator("body > pre").last
        wait_in_page(page, "document.body.lastElementChild.textContent.includes('1 execution_created')")
        case.interrupt()
        wanted = case.ended(*listened(code))
        wait_in_page(page, "['closed', 'ended'].includes(document.body.dataset.stream)")
        lines = [" ".join(line.split()[:2]) for line in (told.text_content() or "").splitlines()]
    assert lines == wanted


@pytest.mark.browser
@pytest.mark.torture
def test_the_script_that_comes_with_django_eventstream_works_unchanged(browser: Browser, case: Case) -> None:
    script = finders.find("django_eventstream/reconnecting-eventsource.js")
    with browsing(browser, bypass_csp=True) as context:
        page = context.new_page()
        enter(page, case.machine, "ada")
        page.add_script_tag(path=script)
        page.evaluate(
            """([id, types]) => {
              window.told = [];
              window.source = new ReconnectingEventSource(`/api/v1/executions/${id}/stream`);
              const tell = ({ lastEventId, type }) => told.push(`${lastEventId} ${type}`);
              for (const type of types) source.addEventListener(type, tell);
            }""",
            [case.execution_id, ["execution_created", "step_completed", "complete"]],
        )
        wait_in_page(page, "told.length === 1")
        case.interrupt()
        wanted = case.ended("execution_created", "step_completed", "complete")
        wait_in_page(page, "told.at(-1)?.endsWith('complete')")
        # It takes the 204 for a failure, and asks again with its last id: nothing is told twice.
        for _ in range(2):
            with page.expect_response(lambda answer: answer.status == 204 and "lastEventId=" in answer.url):
                pass
        assert page.evaluate("told") == wanted
        page.evaluate("source.close()")

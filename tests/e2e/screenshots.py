"""Pictures of all pages for the README and the docs: `make screenshots`, or `python -m tests.e2e.screenshots [FOLDER]`.

They show the prepared examples: nothing on them was made by a model. Each page has a picture in light and in dark
colours, and one of a telephone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.console.browser import chromium, send_login
from tests.e2e.processes import PASSWORD, ROOT, Machine, machine, start_execution, wait_for_status, wait_until

FOLDER = ROOT / "docs" / "images"
QUALITY = 80  # of WebP
NAME = "ada"
API = "/api/v1/docs"
#: Variants of a picture: width and height in pixels, and the colour scheme.
VARIANTS: dict[str, tuple[int, int, Any]] = {
    "light": (1280, 860, "light"),
    "dark": (1280, 860, "dark"),
    "phone": (360, 740, "light"),
}


def fill(client: httpx.Client) -> dict[str, str]:
    """Run the prepared examples, and return the addresses of pages by the name of their picture."""
    made = _finished(client)
    waiting = start_execution(client, _brief("tool-library"), key="tool-library-2027")
    wait_for_status(client, waiting, "waiting")
    deciding = start_execution(
        client, _brief("veterinary-practices"), workflow_id="software-delivery", key="veterinary-practices"
    )
    _answer(client, deciding, "screened by an assistant on the telephone")
    wait_until(lambda: _has_decision(client), what="a document that waits for a decision")
    offer = start_execution(client, _brief("tool-library-offer"), workflow_id="vendor-assessment", key="tool-library")
    wait_for_status(client, offer, "completed")
    document = _document_of(client, made, "requirements")
    one, decided = f"/executions/{made}/", f"/executions/{deciding}/"
    return {
        "home": "/",
        "inbox": "/inbox/",
        "decision": f"{decided}steps/epics/decision/",
        "executions": "/executions/",
        "start": "/executions/new/",
        "execution": decided,
        "execution-documents": f"{one}documents/",
        "execution-timeline": f"{one}timeline/",
        "execution-calls": f"{one}calls/",
        "execution-brief": f"{one}brief/",
        "step": f"{one}steps/requirements/",
        "documents": "/documents/",
        "document": f"/documents/{document}/",
        "workflows": "/workflows/",
        "workflow": "/workflows/software-delivery/",
        "costs": "/costs/",
        "scope": "/scopes/project/tool-library/",
        "account": "/account/",
        "api": API,
        "admin": "/admin/",
    }


def _finished(client: httpx.Client) -> str:
    """Return an execution whose question was answered, and which has ended."""
    execution_id = start_execution(client, _brief("tool-library"), key="tool-library")
    _answer(client, execution_id, "introduce a yearly membership fee")
    wait_for_status(client, execution_id, "completed")
    return execution_id


def _answer(client: httpx.Client, execution_id: str, answer: str) -> None:
    """Answer the questions of an execution when it waits."""
    wait_for_status(client, execution_id, "waiting")
    steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    [asked] = [each for each in steps if each["status"] == "waiting"]
    answers = {each["id"]: answer for each in asked["clarification"]["questions"]}
    path = f"/executions/{execution_id}/steps/{asked['step_id']}/clarification"
    assert client.post(path, json={"answers": answers}).is_success


def _has_decision(client: httpx.Client) -> bool:
    return any(each["kind"] == "acceptance" for each in client.get("/inbox/").json()["data"])


def _brief(name: str) -> str:
    return (ROOT / "examples" / "briefs" / f"{name}.md").read_text(encoding="utf-8")


def _document_of(client: httpx.Client, execution_id: str, step_id: str) -> str:
    steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    return next(str(each["document"]["id"]) for each in steps if each["step_id"] == step_id)


@contextmanager
def logged_in(browser: Browser, installed: Machine, variant: str) -> Iterator[Page]:
    """Provide a page of a person who is logged in."""
    width, height, scheme = VARIANTS[variant]
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    send_login(page, installed.url, NAME)
    yield page
    context.close()


def take(page: Page, address: str, file: Path) -> None:
    """Store a picture of what a window of a page shows."""
    response = page.goto(address)
    assert response is not None and response.ok, f"{address}: {response and response.status}"
    page.wait_for_load_state("load")
    if address.endswith(API):
        page.locator(".opblock").first.wait_for()
    page.evaluate("document.fonts.ready.then(() => true)")
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.save(file, "WEBP", quality=QUALITY, method=6)


def main(folder: Path = FOLDER, *, say: Callable[[str], object] = print) -> None:
    """Run the examples, and store all pictures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work, machine(Path(work) / "data") as installed:
        installed.prepare()
        arguments = (NAME, "--superuser", "--password-stdin")
        token = installed.manage("issue_token", *arguments, stdin=f"{PASSWORD}\n").strip()
        (installed.data_dir / f"{NAME}.token").write_text(token, encoding="ascii")
        installed.serve()
        with installed.client(NAME) as client, chromium() as browser:
            pages = fill(client)
            for variant in VARIANTS:
                with logged_in(browser, installed, variant) as page:
                    for name, path in pages.items():
                        take(page, installed.url + path, folder / f"{name}-{variant}.webp")
                        say(f"{name}-{variant}.webp")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""What one viewer of an execution with 300 items costs while it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.browser import browsing, enter
from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.torture]

ITEMS = 300
SECONDS = 90
MOST_REQUESTS, MOST_BYTES = 40, 1_000_000
TITLE = {"type": "string", "maxLength": 80}
TEXT = {"type": "object", "required": ["title", "text"], "properties": {"title": TITLE, "text": {"type": "string"}}}
PART = {
    "type": "object",
    "required": ["id", "title"],
    "additionalProperties": False,
    "properties": {"id": {"type": "string", "pattern": "^part-[0-9]+$"}, "title": TITLE},
}
PARTS = {
    "type": "object",
    "required": ["title", "parts"],
    "properties": {"title": TITLE, "parts": {"type": "array", "minItems": ITEMS, "maxItems": ITEMS, "items": PART}},
}


def publish(installed: Machine, folder: Path) -> None:
    """Publish a workflow with many items."""
    shared = {"role": "writer", "task": "Write.", "produces": "parts", "output_schema": PARTS}
    each = {"document": "parts", "items": "/parts", "key": "id", "scope_type": "part"}
    steps = [
        {**shared, "id": "parts", "name": "Parts"},
        {**shared, "id": "texts", "name": "Texts", "produces": "text", "output_schema": TEXT, "for_each": each},
    ]
    roles = {"writer": {"name": "Writer", "instructions": "You write."}}
    workflow = {"id": "many", "name": "Many", "description": "Writes.", "roles": roles, "steps": steps}
    (folder / "many").mkdir(parents=True)
    (folder / "many" / "workflow.yaml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    installed.manage("load_catalog", "--catalog", str(folder))


class Traffic:
    """Requests and bytes of a page, its streams included."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        self.requests: list[str] = []
        session = page.context.new_cdp_session(page)
        session.on("Network.dataReceived", self._received)
        session.on("Network.requestWillBeSent", lambda told: self.requests.append(told["request"]["url"]))
        session.send("Network.enable")

    def _received(self, told: dict[str, Any]) -> None:
        self.bytes += told["dataLength"]


def test_a_viewer_of_many_items_sends_few_requests(fresh: Machine, browser: Browser, tmp_path: Path) -> None:
    publish(fresh, tmp_path / "catalog")
    fresh.serve("--no-worker")
    with fresh.client("ada") as client, browsing(browser) as context:
        body = {"workflow_id": "many", "scope_type": "project", "scope_id": "many", "input": CLOSED_BRIEF}
        response = client.post("/executions/", json=body)
        assert response.status_code == 201, response.text
        execution_id = response.json()["execution_id"]
        page = context.new_page()
        enter(page, fresh, "ada")
        fresh.start("worker", REHEARSAL_LATENCY_SECONDS="1", MODEL_CALLS="3")

        def total() -> int:
            shown = client.get(f"/executions/{execution_id}").json()
            assert shown["error"] is None, shown
            return int(shown["progress"]["total_steps"])

        wait_until(lambda: total() == ITEMS + 1, what="the items")
        traffic = Traffic(page)
        begun = time.monotonic()
        page.goto(f"{fresh.url}/executions/{execution_id}/")
        texts = page.locator("#step-texts")
        expect(texts.locator(".badge")).to_have_text("running")
        expect(page.locator("#writing")).to_be_visible()
        wait_until(lambda: page.evaluate("1") and time.monotonic() - begun > SECONDS, seconds=2 * SECONDS)
        number, size = len(traffic.requests), traffic.bytes
        done = client.get(f"/executions/{execution_id}").json()["progress"]["done_steps"]
        told = f"{number} requests, {size:,} bytes, {done} steps"
        assert done > ITEMS / 2, told
        assert number <= MOST_REQUESTS, told
        assert size <= MOST_BYTES, told

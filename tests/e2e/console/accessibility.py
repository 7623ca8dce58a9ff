"""What a page must not do: break a rule of accessibility, scroll sideways, or need what its policy blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from playwright.sync_api import ConsoleMessage, Page

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Watch:
    """What a browser says that the policy of a page has blocked."""

    blocked: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Keep what is about a policy."""
        if "Content Security Policy" in message.text:
            self.blocked.append(f"{message.location.get('url')}: {message.text}")


def faults_of(page: Page) -> list[str]:
    """Return what axe finds on a page, and whether the page is too wide for its window."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(
        "tags => axe.run(document, { runOnly: tags, resultTypes: ['violations'] }).then(all => all.violations)", _RULES
    )
    told = [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]
    return told + too_wide(page)


def too_wide(page: Page) -> list[str]:
    """Return whether the page is wider than its window."""
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [f"{wide} pixels too wide"] if wide > 0 else []

"""What a page must not do: break a rule of accessibility, or scroll sideways."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Any, Literal

from playwright.sync_api import Page

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


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


def check(page: Page, name: str = "") -> None:
    """Check a page in both schemes. With a name it leaves pictures.

    A picture leaves a style behind, which the policy blocks in a form that is sent.
    """
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert faults_of(page) == []
        if name:
            take_picture(page, f"{name}-{scheme}")


def take_picture(page: Page, name: str) -> None:
    """Keep a picture of the page, if SCREENSHOT_DIR names a folder."""
    if folder := os.environ.get("SCREENSHOT_DIR"):
        page.screenshot(path=f"{folder}/{name.replace(' ', '-')}.png", full_page=True)

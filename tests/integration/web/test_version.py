"""The version is defined in one place; the changelog and the OpenAPI document agree."""

from __future__ import annotations

import re

from django.test import Client

from orchestrator import VERSION
from tests.e2e.processes import ROOT


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == VERSION
    assert len(set(versions)) == len(versions)


def test_the_openapi_document_names_this_version() -> None:
    document = Client().get("/api/v1/openapi.json")
    assert document.json()["info"]["version"] == VERSION

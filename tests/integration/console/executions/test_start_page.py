"""The page with the form that starts an execution."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories.workflows import definition
from workflows import publishing

pytestmark = pytest.mark.django_db

OPTION = re.compile(r'<option value="([^"]+)" data-about="([^"]*)"( selected)?>([^<]+)</option>')


def test_the_page_brings_the_workflows_with_it(browser: Client) -> None:
    publishing.publish(definition(id="note", name="Note", description="It sums up."), by=None, now=timezone.now())
    publishing.publish(definition(id="memo", name="Memo", description="It <tells>."), by=None, now=timezone.now())
    found = OPTION.findall(browser.get("/executions/new/?workflow=note").content.decode())
    assert ("note", "It sums up. 1 step.", " selected", "Note") in found
    assert ("memo", "It &lt;tells&gt;. 1 step.", "", "Memo") in found

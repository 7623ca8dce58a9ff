"""The ledger in the admin is read-only."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from access.user import User
from telemetry.models import ModelCall
from tests.factories.calls import answered

pytestmark = pytest.mark.django_db


def test_the_admin_shows_the_ledger_and_changes_nothing(alice: User) -> None:
    answered(alice, reply={"text": "<script>alert(1)</script>"})
    browser = APIClient()
    browser.force_login(User.objects.create_superuser("root"))
    page = browser.get("/admin/telemetry/modelcall/?status__exact=committed").content.decode()
    assert "scripted:writer" in page
    assert "0.0012" in page
    row = ModelCall.objects.get()
    detail = browser.get(f"/admin/telemetry/modelcall/{row.id}/change/").content.decode()
    assert "&lt;script&gt;" in detail
    assert "<script>alert(1)" not in detail
    assert browser.post(f"/admin/telemetry/modelcall/{row.id}/change/", {"cost_usd": 0}).status_code == 403
    assert browser.post(f"/admin/telemetry/modelcall/{row.id}/delete/", {"post": "yes"}).status_code == 403
    assert browser.get("/admin/telemetry/modelcall/add/").status_code == 403

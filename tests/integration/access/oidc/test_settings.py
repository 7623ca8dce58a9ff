from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from orchestrator.checks import single_sign_on

ROOT = Path(__file__).resolve().parents[4]
GIVEN = {"OIDC_ISSUER": "https://id.example.org", "OIDC_CLIENT_ID": "us", "OIDC_CLIENT_SECRET": "a-Secret"}
#: Loads the apps and the paths, as a server does.
_START = """
import sys
from orchestrator import startup
startup.prepare(["check"])
import django
django.setup()
import orchestrator.urls
sys.exit(any(name.partition(".")[0] in {"allauth", "oauthlib"} for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        (dict.fromkeys(GIVEN, ""), []),
        ({}, []),
        ({"OIDC_CLIENT_SECRET": ""}, ["orchestrator.E007"]),
        ({"OIDC_ISSUER": ""}, ["orchestrator.E007"]),
        ({"OIDC_ISSUER": "http://id.example.org"}, ["orchestrator.E008"]),
        ({"OIDC_ISSUER": "http://127.0.0.1:9000"}, []),
        ({"OIDC_GROUPS": ["editors=reviewer@project/harbour", "x=king"]}, ["orchestrator.E009"]),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: Any, changes: dict[str, object], codes: list[str]) -> None:
    for name, value in (GIVEN | changes).items():
        setattr(settings, name, value)
    found = single_sign_on()
    assert [each.id for each in found] == codes
    if codes == ["orchestrator.E007"]:
        [missing] = [name for name in GIVEN if not getattr(settings, name)]
        assert found[0].msg == f"Single sign-on lacks {missing}."


@pytest.mark.e2e
def test_without_a_provider_a_start_imports_nothing_of_the_library(tmp_path: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    started = subprocess.run([sys.executable, "-c", _START], cwd=ROOT, env=environment, check=False)
    assert started.returncode == 0


@pytest.mark.django_db
def test_without_a_provider_there_is_no_button_and_no_path(client: Client) -> None:
    page = client.get("/login/?fault=denied").content.decode()
    assert "Log in with" not in page
    assert "cancelled" not in page
    with pytest.raises(NoReverseMatch):
        reverse("oidc:begin")
    assert client.get("/login/single-sign-on/").status_code == 404

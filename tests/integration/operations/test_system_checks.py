"""The system checks: combinations of settings that are wrong together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from orchestrator import checks

ROOT = Path(__file__).resolve().parents[3]
PRODUCTION = {
    "DATABASE_URL": "postgresql://u@h/n",
    "LOCAL": "0",
    "SECRET_KEY": "c0mpletely-Random-and-long-enough-for-production-use-9876543210",
    "ALLOWED_HOSTS": "example.org",
    "BEHIND_PROXY": "1",
    "TRUSTED_PROXIES": "10.0.0.5,10.1.0.0/16",
}


def ids(found: list[Any]) -> list[str]:
    return [each.id for each in found]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in PRODUCTION}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_settings_of_a_local_start_are_clean() -> None:
    assert run_checks() == []


def test_an_alias_that_names_no_model_is_an_error(settings: Any) -> None:
    settings.MODEL_ALIASES = {"fast": "openai:gpt", "standard": "gpt", "strong": ":x, openai:gpt,opnai:gpt"}
    found = checks.model_aliases()
    assert ids(found) == ["orchestrator.E001"] * 3
    assert "MODEL_STANDARD" in str(found[0].hint)


def test_an_entry_of_the_files_that_models_read_needs_a_model_and_a_kind(settings: Any) -> None:
    settings.MODEL_FILES = ["openai:qwen-vl*=pictures", "qwen=all"]
    [found] = checks.model_files()
    assert (found.id, "'qwen=all'" in found.msg) == ("orchestrator.E006", True)


def test_an_alias_without_a_listed_price_is_told_of_where_prices_are_required(settings: Any) -> None:
    settings.MODEL_ALIASES = {"fast": "openai:gpt-4o-mini, openai:unlisted-model", "strong": "rehearsal:rehearsal"}
    assert checks.unpriced_aliases() == []
    settings.REQUIRE_PRICED = True
    [told] = checks.unpriced_aliases()
    assert told.id == "orchestrator.I001"
    assert "'fast' is set to 'openai:unlisted-model'" in told.msg


def test_a_silence_shorter_than_two_heartbeats_is_an_error(settings: Any) -> None:
    settings.HEARTBEAT_SECONDS, settings.WORKER_SILENT_SECONDS = 10.0, 19.9
    assert ids(checks.heartbeat()) == ["orchestrator.E002"]
    settings.WORKER_SILENT_SECONDS = 20.0
    assert checks.heartbeat() == []


def test_a_pushpin_whose_signature_is_not_known_is_an_error(settings: Any) -> None:
    settings.GRIP_URL = "http://127.0.0.1:5561?key=that-is-for-publishing"
    assert ids(checks.pushpin()) == ["orchestrator.E004"]
    settings.GRIP_URL = "http://127.0.0.1:5561?verify-key=secret"
    assert checks.pushpin() == []


@pytest.mark.parametrize(
    ("host", "local", "warned"),
    [("0.0.0.0", True, True), ("127.0.0.1", True, False), ("::1", True, False), ("localhost", True, False),
     ("0.0.0.0", False, False), ("box.lan", True, True)],
)  # fmt: skip
def test_plain_http_for_other_machines_is_warned_of(settings: Any, host: str, local: bool, warned: bool) -> None:
    settings.HOST, settings.LOCAL = host, local
    assert ids(checks.plain_http()) == ["orchestrator.W001"] * warned


def test_production_settings_pass_the_deployment_checks() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr


def deployed(settings: Any, *, behind_proxy: bool, trusted: list[str]) -> set[str]:
    """Return what the deployment checks of ours find."""
    settings.SECURE_SSL_REDIRECT, settings.TRUSTED_PROXIES = True, trusted
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if behind_proxy else None
    return {each for each in ids(run_checks(include_deployment_checks=True)) if each.startswith("orchestrator.")}


def test_a_redirect_without_a_proxy_is_found(settings: Any) -> None:
    assert deployed(settings, behind_proxy=False, trusted=["10.0.0.5"]) == {"orchestrator.W002"}


def test_a_proxy_that_is_not_trusted_is_found(settings: Any) -> None:
    assert deployed(settings, behind_proxy=True, trusted=[]) == {"orchestrator.W003"}
    assert deployed(settings, behind_proxy=True, trusted=["10.0.0.5"]) == set()


def test_production_has_no_secret_by_default() -> None:
    done = manage("check", **{**PRODUCTION, "SECRET_KEY": ""})
    assert done.returncode == 1
    assert done.stderr.strip().startswith("SECRET_KEY is not set")


def test_a_given_database_is_production_unless_told_otherwise() -> None:
    done = manage("check", DATABASE_URL="postgresql://u@h/n")
    assert done.returncode == 1
    assert "SECRET_KEY is not set" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        pytest.param("LOG_FORMAT", "xml", marks=pytest.mark.torture),
        pytest.param("DATABASE_URL", "mysql://h/n", marks=pytest.mark.torture),
        pytest.param("TRUSTED_PROXIES", "proxy.example", marks=pytest.mark.torture),
    ],
)
def test_a_wrong_value_stops_the_process_with_one_line(name: str, value: str) -> None:
    done = manage("check", **{"LOCAL": "1", name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["migrate", "--help"],
        pytest.param(["help"], marks=pytest.mark.torture),
        pytest.param(["--version"], marks=pytest.mark.torture),
    ],
)
def test_commands_that_need_no_database_start_none(arguments: list[str], tmp_path: Path) -> None:
    assert manage(*arguments, DATA_DIR=str(tmp_path), LOCAL="1").returncode == 0
    assert not (tmp_path / "postgres").exists()

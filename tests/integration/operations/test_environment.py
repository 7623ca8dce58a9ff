"""Environment variables: their values, and errors that prevent a start."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import env

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY")
ADDRESSES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")
MODEL_VARIABLES = (*KEYS, *(f"{key}_FILE" for key in KEYS), *ADDRESSES, "MODEL_FAST", "MODEL_STANDARD", "MODEL_STRONG")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("THING", "THING_FILE", *MODEL_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def test_a_missing_value_without_a_default_stops_the_process_with_its_name() -> None:
    with pytest.raises(env.BadEnvironment, match="THING is not set"):
        env.text("THING")


def test_a_value_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "thing").write_text("kept there\n")
    monkeypatch.setenv("THING_FILE", str(tmp_path / "thing"))
    assert env.text("THING") == "kept there"


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THING_FILE", str(tmp_path / "absent"))
    with pytest.raises(env.BadEnvironment, match="THING_FILE: cannot read"):
        env.text("THING", "default")


@pytest.mark.parametrize(
    ("raw", "expected"), [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("off", False)]
)
def test_a_flag_has_a_few_spellings(monkeypatch: pytest.MonkeyPatch, raw: str, expected: bool) -> None:
    monkeypatch.setenv("THING", raw)
    assert env.flag("THING", default=not expected) is expected


def test_a_flag_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "maybe")
    with pytest.raises(env.BadEnvironment, match="THING='maybe' is not 1 or 0"):
        env.flag("THING", default=True)


@pytest.mark.parametrize("raw", ["three", "1.5", "-1"])
def test_a_whole_number_is_one_and_not_too_small(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setenv("THING", raw)
    with pytest.raises(env.BadEnvironment, match="THING="):
        env.integer("THING", 5)


@pytest.mark.parametrize("raw", ["many", "-0.1", "nan"])
def test_a_number_is_one_and_not_too_small(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setenv("THING", raw)
    with pytest.raises(env.BadEnvironment, match="THING="):
        env.number("THING", 5.0)


def test_a_choice_names_what_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING", "purple")
    with pytest.raises(env.BadEnvironment, match="THING='purple' is not one of blue, green"):
        env.choice("THING", "green", among={"green", "blue"})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://cache", {"host": "cache", "port": 6379, "db": 0}),
        ("redis://:p%40ss@h:1/2", {"host": "h", "port": 1, "db": 2, "password": "p@ss"}),
        ("redis://ann:x@h", {"host": "h", "port": 6379, "db": 0, "username": "ann", "password": "x"}),
    ],
)
def test_a_redis_is_named_by_its_url(monkeypatch: pytest.MonkeyPatch, url: str, told: dict[str, object]) -> None:
    monkeypatch.setenv("THING", url)
    assert env.redis("THING") == told


@pytest.mark.parametrize("url", ["cache:6379", "redis://", "redis://:secret@h:x", "redis://:secret@h/first"])
def test_what_names_no_redis_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("THING", url)
    with pytest.raises(env.BadEnvironment, match="THING must look like") as refused:
        env.redis("THING")
    assert "secret" not in str(refused.value)


def test_a_local_secret_is_made_once_for_all_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    code = (
        "import sys, pathlib; from orchestrator import env; print(env.local_secret('THING', pathlib.Path(sys.argv[1])))"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    secrets = {maker.communicate()[0].strip() for maker in makers}
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["secret"]


def test_a_secret_of_the_environment_is_not_written_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THING", "given")
    assert env.local_secret("THING", tmp_path / "secret") == "given"
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_every_alias_is_the_rehearsal() -> None:
    assert set(env.model_aliases().values()) == {"rehearsal:rehearsal"}


@pytest.mark.parametrize("variable", [*KEYS, *ADDRESSES])
def test_a_key_or_an_address_turns_all_aliases_into_that_providers_models(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    provider = variable.partition("_")[0].replace("GEMINI", "GOOGLE").lower()
    monkeypatch.setenv(variable, "k")
    aliases = env.model_aliases()
    assert sorted(aliases) == ["fast", "standard", "strong"]
    assert all(model.startswith(f"{provider}:") for model in aliases.values())


def test_a_key_in_a_file_reaches_the_libraries_of_its_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-secret\n", encoding="utf-8")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("OPENAI_API_KEY", "")
    env.export_provider_keys()
    assert os.environ["OPENAI_API_KEY"] == "sk-secret"


def test_one_alias_can_be_set_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_FAST", "openai:local")
    assert env.model_aliases() == {
        "fast": "openai:local",
        "standard": "rehearsal:rehearsal",
        "strong": "rehearsal:rehearsal",
    }


@pytest.mark.parametrize("key", KEYS)
def test_the_models_that_aliases_stand_for_have_a_price(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    from genai_prices import Usage, calc_price

    monkeypatch.setenv(key, "k")
    for alias in env.model_aliases().values():
        provider, _, model = alias.partition(":")
        assert calc_price(Usage(input_tokens=1000), model_ref=model, provider_id=provider).total_price > 0

"""Typed reads of the environment. An invalid value stops the process with a message that names the variable."""

from __future__ import annotations

import os
import secrets
from collections.abc import Set
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.addresses import Network


class BadEnvironment(SystemExit):
    """An invalid environment; the message names the variable."""


def text(name: str, default: str | None = None) -> str:
    """Return the variable, or the content of the file that `<name>_FILE` names, or the default.

    Raises:
        BadEnvironment: there is neither a value nor a default.
    """
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadEnvironment(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
    if default is None:
        raise BadEnvironment(f"{name} is not set. Set {name}, or {name}_FILE to a file that holds it.")
    return default


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    """Return the variable as an integer.

    Raises:
        BadEnvironment: the value is not an integer, or less than `minimum`.
    """
    raw = text(name, str(default))
    try:
        value = int(raw)
    except ValueError as error:
        raise BadEnvironment(f"{name}={raw!r} is not a whole number.") from error
    if value < minimum:
        raise BadEnvironment(f"{name}={raw} is less than {minimum}.")
    return value


def number(name: str, default: float, *, minimum: float = 0.0) -> float:
    """Return the variable as a number.

    Raises:
        BadEnvironment: the value is not a number, or less than `minimum`.
    """
    raw = text(name, str(default))
    try:
        value = float(raw)
    except ValueError as error:
        raise BadEnvironment(f"{name}={raw!r} is not a number.") from error
    if not value >= minimum:
        raise BadEnvironment(f"{name}={raw} is less than {minimum}.")
    return value


def flag(name: str, *, default: bool) -> bool:
    """Return the variable as a boolean.

    Raises:
        BadEnvironment: the value is not a boolean.
    """
    raw = text(name, "1" if default else "0").lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise BadEnvironment(f"{name}={raw!r} is not 1 or 0.")


def choice(name: str, default: str, *, among: Set[str]) -> str:
    """Return the variable as one of several choices.

    Raises:
        BadEnvironment: the value is not one of the choices.
    """
    value = text(name, default)
    if value not in among:
        raise BadEnvironment(f"{name}={value!r} is not one of {', '.join(sorted(among))}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return the variable's comma-separated words."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def networks(name: str) -> tuple[Network, ...]:
    """Return the variable's comma-separated addresses and networks.

    Raises:
        BadEnvironment: a value is neither.
    """
    try:
        return tuple(ip_network(word) for word in words(name))
    except ValueError as error:
        raise BadEnvironment(f"{name}: {error}; expected addresses or networks like 10.0.0.0/8.") from error


def redis(name: str) -> dict[str, str | int]:
    """Parse the variable, `redis://user:password@host:port/number`, to arguments of the package `redis`.

    Raises:
        BadEnvironment: the URL is invalid.
    """
    form_error = BadEnvironment(f"{name} must look like redis://:password@host:6379/0")
    try:
        parts = urlsplit(text(name))
        number = int(parts.path.strip("/") or 0)
        port = parts.port or 6379
    except ValueError:
        raise form_error from None  # the cause contains the password
    if parts.scheme != "redis" or not parts.hostname:
        raise form_error
    names = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return {"host": parts.hostname, "port": port, "db": number, **{key: value for key, value in names.items() if value}}


def local_secret(name: str, path: Path) -> str:
    """Return the variable, or a generated secret that is stored in a file readable only by its owner."""
    if os.environ.get(name) or os.environ.get(f"{name}_FILE"):
        return text(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        try:
            os.link(draft, path)  # atomic: the first of concurrent processes determines the secret
        except FileExistsError:
            pass  # another process was first; its secret is read below
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()


#: Models of the aliases, by the variables that select a provider. Without these variables, all aliases are rehearsals.
_ALIASES = {
    ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"): {
        "fast": "anthropic:claude-haiku-5-5",
        "standard": "anthropic:claude-sonnet-5-5",
        "strong": "anthropic:claude-opus-5-5",
    },
    ("OPENAI_API_KEY", "OPENAI_BASE_URL"): {
        "fast": "openai:gpt-6-luna",
        "standard": "openai:gpt-6.1-terra",
        "strong": "openai:gpt-6-sol",
    },
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"): {
        "fast": "google:gemini-3.5-flash-lite",
        "standard": "google:gemini-3.8-flash",
        "strong": "google:gemini-4-argon",
    },
}


def export_provider_keys() -> None:
    """Set environment variables of keys that are stored in files (`<name>_FILE`), for the providers' libraries."""
    for name in (name for names in _ALIASES for name in names):
        if value := text(name, ""):
            os.environ[name] = value


def model_aliases() -> dict[str, str]:
    """Return the `provider:model` of each alias; MODEL_FAST, MODEL_STANDARD and MODEL_STRONG override them.

    Several models, separated by commas, are fallbacks in this order.
    """
    defaults_of_provider = next(
        (models for names, models in _ALIASES.items() if any(text(name, "") for name in names)), None
    )
    defaults = defaults_of_provider or dict.fromkeys(("fast", "standard", "strong"), "rehearsal:rehearsal")
    return {alias: text(f"MODEL_{alias.upper()}", model) for alias, model in defaults.items()}

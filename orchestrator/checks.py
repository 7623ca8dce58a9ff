"""System checks of invalid combinations of settings, run by `manage.py check` and before a server starts.

E001: a model alias is not a `provider:model` of a known provider. E002: workers would take over executions of live
workers. E004: requests from Pushpin could not be verified. E005: the database has no such language of the search.
E006: MODEL_FILES has an entry that cannot be read. E007: single sign-on lacks a variable. E008: its issuer is no
address of HTTPS. E009: OIDC_GROUPS has an entry that cannot be read. I001: the model of an alias needs a configured
price. W001: plain HTTP on a public address. W002 (--deploy): an endless redirect to HTTPS. W003 (--deploy): all
clients would share the proxy's address.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from gripcontrol import parse_grip_uri

from access.oidc import groups
from common.addresses import is_loopback, is_protected
from common.database.server import database_now
from documents.search import index
from executions.llm.file_support import rules_of
from executions.llm.known_providers import is_known
from telemetry.pricing import prices


@register()
def model_aliases(**_: Any) -> list[CheckMessage]:
    """Check that aliases name models of known providers."""
    return [
        Error(
            f"The model alias {alias!r} is set to {model.strip()!r}, which is not a model of a known provider.",
            hint=f"Set MODEL_{alias.upper()} to a value like anthropic:claude-sonnet-5-5.",
            id="orchestrator.E001",
        )
        for alias, models in settings.MODEL_ALIASES.items()
        for model in models.split(",")
        if not all(model.strip().partition(":")) or not is_known(model.strip())
    ]


@register()
def model_files(**_: Any) -> list[CheckMessage]:
    """Check that the entries of MODEL_FILES can be read."""
    try:
        rules_of(settings.MODEL_FILES)
    except ValueError as error:
        hint = "Set MODEL_FILES to entries like openai:qwen-vl*=pictures, with commas between them."
        return [Error(f"MODEL_FILES cannot be read: {error}", hint=hint, id="orchestrator.E006")]
    return []


@register()
def single_sign_on(**_: Any) -> list[CheckMessage]:
    """Check that the settings of single sign-on are complete, protected and readable."""
    given = {name: getattr(settings, name) for name in ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")}
    missing = [name for name, value in given.items() if not value]
    found: list[CheckMessage] = []
    if 0 < len(missing) < len(given):
        hint = "Set OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or none."
        found.append(Error(f"Single sign-on lacks {', '.join(missing)}.", hint=hint, id="orchestrator.E007"))
    if given["OIDC_ISSUER"] and not is_protected(given["OIDC_ISSUER"]):
        hint = "Set OIDC_ISSUER to the issuer as the provider writes it, such as https://id.example.org/realms/main."
        found.append(Error("OIDC_ISSUER is no address of HTTPS.", hint=hint, id="orchestrator.E008"))
    try:
        groups.rules_of(tuple(settings.OIDC_GROUPS))
    except ValueError as error:
        hint = "Set OIDC_GROUPS to entries like editors=reviewer@project/harbour, with commas between them."
        found.append(Error(f"OIDC_GROUPS cannot be read: {error}", hint=hint, id="orchestrator.E009"))
    return found


@register()
def unpriced_aliases(**_: Any) -> list[CheckMessage]:
    """Check that models of aliases have prices. Configured prices are in the database, which is not queried here."""
    if not settings.REQUIRE_PRICED:
        return []
    now = database_now()
    return [
        Info(
            f"The model alias {alias!r} is set to {model!r}, which is not on the bundled price list.",
            hint="REQUIRE_PRICED is on: workflows that use it need a price in the admin to start.",
            id="orchestrator.I001",
        )
        for alias, models in settings.MODEL_ALIASES.items()
        for model in map(str.strip, models.split(","))
        if not prices.is_priced(model, at=now)
    ]


@register()
def heartbeat(**_: Any) -> list[CheckMessage]:
    """Check that the silence limit is longer than two heartbeats."""
    if settings.WORKER_SILENT_SECONDS >= 2 * settings.HEARTBEAT_SECONDS:
        return []
    hint = "Set WORKER_SILENT_SECONDS to at least twice HEARTBEAT_SECONDS; ten times is better."
    return [Error("A live worker would count as dead between two heartbeats.", hint=hint, id="orchestrator.E002")]


@register()
def pushpin(**_: Any) -> list[CheckMessage]:
    """Check that requests from Pushpin can be verified."""
    if not settings.GRIP_URL or parse_grip_uri(settings.GRIP_URL).get("verify_key"):
        return []
    hint = "Add Pushpin's sig_key: GRIP_URL=http://127.0.0.1:5561?verify-key=…"
    return [Error("GRIP_URL has no key to verify requests from Pushpin.", hint=hint, id="orchestrator.E004")]


@register(Tags.database)
def search_language(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check that the language of the search exists. It asks the database, so a server checks it when it starts."""
    if not databases or settings.SEARCH_LANGUAGE in (known := index.languages()):
        return []
    hint = "Set SEARCH_LANGUAGE to a name of this list; then run manage.py reindex_documents."
    return [Error(index.unknown_language(known), hint=hint, id="orchestrator.E005")]


@register(Tags.security)
def plain_http(**_: Any) -> list[CheckMessage]:
    """Check that passwords are not sent over plain HTTP."""
    if not settings.LOCAL or is_loopback(settings.HOST):
        return []
    message = f"HOST={settings.HOST} serves other machines over plain HTTP."
    hint = "Set LOCAL=0 and the settings of production (SECRET_KEY, ALLOWED_HOSTS), behind an HTTPS proxy."
    return [Warning(message, hint=hint, id="orchestrator.W001")]


@register(Tags.security, deploy=True)
def redirect_loop(**_: Any) -> list[CheckMessage]:
    """Check that the redirect to HTTPS is not endless."""
    if settings.SECURE_PROXY_SSL_HEADER or not settings.SECURE_SSL_REDIRECT:
        return []
    hint = "Set BEHIND_PROXY=1 if a proxy sets X-Forwarded-Proto; it must also remove the header of clients."
    message = "This server receives plain HTTP and redirects every request to HTTPS, endlessly."
    return [Warning(message, hint=hint, id="orchestrator.W002")]


@register(Tags.security, deploy=True)
def shared_address(**_: Any) -> list[CheckMessage]:
    """Check that clients behind a proxy are distinguished; otherwise one client could lock out all others."""
    if not settings.SECURE_PROXY_SSL_HEADER or settings.TRUSTED_PROXIES:
        return []
    hint = "Set TRUSTED_PROXIES to the addresses of the proxies, which must set X-Forwarded-For or add to it."
    message = "All clients behind the proxy share one limit of wrong passwords."
    return [Warning(message, hint=hint, id="orchestrator.W003")]

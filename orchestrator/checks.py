"""Settings that are each right and together wrong, found by `manage.py check` and before a server starts.

E001: a model alias is no `provider:model`, or of no known provider. E002: workers would take over work that is going
on. E004: nobody could tell what Pushpin has passed on. I001: what a model alias stands for needs a price of its own.
W001: plain HTTP on a public address. W002 (--deploy): every request would be redirected for ever. W003 (--deploy): all
clients would share the proxy's address.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from gripcontrol import parse_grip_uri

from common.database.server import database_now
from executions.llm.known_providers import is_known
from telemetry.pricing import prices


@register()
def model_aliases(**_: Any) -> list[CheckMessage]:
    """Find aliases that name no model."""
    return [
        Error(
            f"The model alias {alias!r} stands for {model.strip()!r}, which names no model of a known provider.",
            hint=f"Set MODEL_{alias.upper()} to a value like anthropic:claude-sonnet-5-5.",
            id="orchestrator.E001",
        )
        for alias, models in settings.MODEL_ALIASES.items()
        for model in models.split(",")
        if not all(model.strip().partition(":")) or not is_known(model.strip())
    ]


@register()
def unpriced_aliases(**_: Any) -> list[CheckMessage]:
    """Find aliases that starts may be refused for; whether people have set a price, the database alone knows."""
    if not settings.REQUIRE_PRICED:
        return []
    now = database_now()
    return [
        Info(
            f"The model alias {alias!r} stands for {model!r}, which is not on the price list that ships.",
            hint="REQUIRE_PRICED is on: without a price in the admin, workflows that use it do not start.",
            id="orchestrator.I001",
        )
        for alias, models in settings.MODEL_ALIASES.items()
        for model in map(str.strip, models.split(","))
        if not prices.is_priced(model, at=now)
    ]


@register()
def heartbeat(**_: Any) -> list[CheckMessage]:
    """Find a silence that a living worker would be taken for dead in."""
    if settings.RUNNER_SILENT_SECONDS >= 2 * settings.HEARTBEAT_SECONDS:
        return []
    hint = "Set RUNNER_SILENT_SECONDS to at least twice HEARTBEAT_SECONDS; ten times is better."
    return [Error("A worker would be taken for dead between two heartbeats.", hint=hint, id="orchestrator.E002")]


@register()
def pushpin(**_: Any) -> list[CheckMessage]:
    """Find a Pushpin whose requests could not be told from others."""
    if not settings.GRIP_URL or parse_grip_uri(settings.GRIP_URL).get("verify_key"):
        return []
    hint = "Add Pushpin's sig_key: GRIP_URL=http://127.0.0.1:5561?verify-key=…"
    return [Error("GRIP_URL does not say how Pushpin signs requests.", hint=hint, id="orchestrator.E004")]


@register(Tags.security)
def plain_http(**_: Any) -> list[CheckMessage]:
    """Find passwords that would travel in clear."""
    if not settings.LOCAL or _is_loopback(settings.HOST):
        return []
    message = f"HOST={settings.HOST} serves other machines over plain HTTP."
    hint = "Set LOCAL=0 and what production needs (SECRET_KEY, ALLOWED_HOSTS), behind a proxy that speaks HTTPS."
    return [Warning(message, hint=hint, id="orchestrator.W001")]


@register(Tags.security, deploy=True)
def redirect_loop(**_: Any) -> list[CheckMessage]:
    """Find a redirect to HTTPS that no request can satisfy."""
    if settings.SECURE_PROXY_SSL_HEADER or not settings.SECURE_SSL_REDIRECT:
        return []
    hint = "Set BEHIND_PROXY=1 when a proxy sets X-Forwarded-Proto, which it must also remove from what clients send."
    message = "This server speaks plain HTTP and redirects it to HTTPS: every request, for ever."
    return [Warning(message, hint=hint, id="orchestrator.W002")]


@register(Tags.security, deploy=True)
def shared_address(**_: Any) -> list[CheckMessage]:
    """Find a proxy whose address would stand for all clients, so that one could lock out all others."""
    if not settings.SECURE_PROXY_SSL_HEADER or settings.TRUSTED_PROXIES:
        return []
    hint = "Set TRUSTED_PROXIES to the addresses of the proxies, which must set X-Forwarded-For or add to it."
    message = "All clients of the proxy count as one address where wrong passwords are counted."
    return [Warning(message, hint=hint, id="orchestrator.W003")]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Chooses the format of a response."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer


class ContentNegotiation(DefaultContentNegotiation):
    """By `?format=`, else by `Accept`. An unknown `format` counts as none: the check of the query refuses it."""

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        """Return the renderers of a format; without such a renderer all."""
        known = list(renderers)
        return [each for each in known if each.format == format] or known

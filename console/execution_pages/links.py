"""Addresses of what an execution has: its steps, and versions of documents."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse


def step_path(execution_id: UUID, step_id: str) -> str:
    """Return the address of a step."""
    return f"{reverse('console:execution', args=[execution_id])}#step-{step_id}"


def version_path(document_id: UUID | str, version: int) -> str:
    """Return the address of a version of a document."""
    return f"{reverse('console:document', args=[document_id])}?{urlencode({'v': version})}"


def difference_path(document_id: UUID | str, before: int, after: int) -> str:
    """Return the address of the difference of two versions."""
    return f"{reverse('console:compare-versions', args=[document_id])}?{urlencode({'a': before, 'b': after})}"

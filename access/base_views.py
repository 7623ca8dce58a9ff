"""What all views of the API have in common."""

from __future__ import annotations

from typing import Any

from adrf.views import APIView
from rest_framework.request import Request

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class BodyMixin:
    """Parses the body in the thread that authenticates, so that a large one does not stop the event loop."""

    def initial(self, request: Request, *arguments: Any, **options: Any) -> None:
        """Authenticate the caller, then parse the body.

        Raises:
            APIException: the caller may not do this, or the body cannot be read.
        """
        super().initial(request, *arguments, **options)  # type: ignore[misc]
        if request.method in METHODS_WITH_BODY and hasattr(self, request.method.lower()):
            _ = request.data


class ApiView(BodyMixin, APIView):
    """A view of the API."""

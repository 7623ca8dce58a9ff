"""Base class of all API views: body parsing off the event loop, and conditional GET."""

from __future__ import annotations

from typing import Any

from adrf.views import APIView
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.preconditions import EntityTags, add_etag, make_not_modified, parse_entity_tags

SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class ApiMixin:
    """Parses the body in the authentication thread, so that a large body does not block the event loop.

    A response with an entity tag becomes 304 if the client has that version already.
    """

    _known_to_client = EntityTags()

    def initial(self, request: Request, *arguments: Any, **options: Any) -> None:
        """Authenticate the caller, then parse the body.

        Raises:
            APIException: the caller lacks the permission, or the body is invalid.
        """
        super().initial(request, *arguments, **options)  # type: ignore[misc]
        if request.method in SAFE_METHODS and (header := request.headers.get("If-None-Match")) is not None:
            self._known_to_client = parse_entity_tags("If-None-Match", header)
        if request.method in METHODS_WITH_BODY and hasattr(self, request.method.lower()):
            _ = request.data

    def finalize_response(self, *arguments: Any, **options: Any) -> Response:
        """Return the response; rendering completes its entity tag."""
        response: Response = super().finalize_response(*arguments, **options)  # type: ignore[misc]
        if "ETag" in response:
            response.add_post_render_callback(self._tag)
        return response

    def _tag(self, response: Response) -> None:
        add_etag(response)
        if response.status_code == 200 and self._known_to_client.matches(response["ETag"]):
            make_not_modified(response)


class ApiView(ApiMixin, APIView):
    """A view of the API."""

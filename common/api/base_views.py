"""What all views of the API have in common."""

from __future__ import annotations

from typing import Any

from adrf.views import APIView
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.preconditions import EntityTags, add_etag, entity_tags, without_body

SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class ApiMixin:
    """Parses the body in the thread that authenticates, so that a large one does not stop the event loop.

    An answer with an entity tag is 304 where the client has it already.
    """

    _known_to_client = EntityTags()

    def initial(self, request: Request, *arguments: Any, **options: Any) -> None:
        """Authenticate the caller, then parse the body.

        Raises:
            APIException: the caller may not do this, or the body cannot be read.
        """
        super().initial(request, *arguments, **options)  # type: ignore[misc]
        if request.method in SAFE_METHODS and (given := request.headers.get("If-None-Match")) is not None:
            self._known_to_client = entity_tags("If-None-Match", given)
        if request.method in METHODS_WITH_BODY and hasattr(self, request.method.lower()):
            _ = request.data

    def finalize_response(self, *arguments: Any, **options: Any) -> Response:
        """Return the response, which gets its entity tag when it is rendered."""
        response: Response = super().finalize_response(*arguments, **options)  # type: ignore[misc]
        if "ETag" in response:
            response.add_post_render_callback(self._tag)
        return response

    def _tag(self, response: Response) -> None:
        add_etag(response)
        if response.status_code == 200 and self._known_to_client.names(response["ETag"]):
            without_body(response)


class ApiView(ApiMixin, APIView):
    """A view of the API."""

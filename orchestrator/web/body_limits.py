"""Limits on request bodies: uploads of files have one of their own."""

from __future__ import annotations

from common.limits import limits

_UPLOADS = "/api/v1/files"
_FORM_BYTES = 16 * 1024  # around the file in the body of an upload


def max_body_bytes(method: str, path: str, *, usual: int) -> int:
    """Return the limit on a body in bytes.

    Args:
        method: The request's method.
        path: Its path, without a query.
        usual: The limit on bodies that are no upload.
    """
    is_upload = method == "POST" and path.rstrip("/") == _UPLOADS
    return max(usual, limits().file_bytes + _FORM_BYTES) if is_upload else usual

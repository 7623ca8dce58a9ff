"""Files of other projects in the console are the files of their releases."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings

FOLDER = Path(settings.BASE_DIR) / "console" / "static" / "vendor"
#: SHA-256 of each file, as in the package of its release in the npm registry.
CHECKSUMS = {
    "htmx-4.0.1.LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    "htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
}


def test_each_vendored_file_is_unchanged_and_has_a_licence() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir()}
    assert found == CHECKSUMS
    releases = {name.partition(".min.js")[0].partition(".esm.js")[0] for name in found if name.endswith(".js")}
    assert releases == {name.removesuffix(".LICENSE") for name in found if name.endswith(".LICENSE")}

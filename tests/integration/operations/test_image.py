"""The build context of the image contains no secret."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def is_left_out(ignore_file: Path, path: str) -> bool:
    """Return whether a pattern of the file covers the path, or a folder above it (`**/` stands for any depth)."""
    patterns = [line for line in ignore_file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    names = [*Path(path).parents, Path(path)]
    return any(
        fnmatch.fnmatch(str(each), pattern.rstrip("/"))
        or fnmatch.fnmatch(f"/{each}", f"*/{pattern.removeprefix('**/')}")
        for each in names
        for pattern in patterns
    )


@pytest.mark.parametrize(
    "path", [".env", ".env.production", "deploy/.env", ".data/secret_key", "tls/server.key", ".git"]
)
def test_secrets_stay_out_of_the_image(path: str) -> None:
    assert is_left_out(ROOT / ".dockerignore", path)


@pytest.mark.parametrize("path", ["manage.py", "orchestrator/env.py", "requirements.txt", "workflows/catalog"])
def test_the_product_is_in_the_image(path: str) -> None:
    assert not is_left_out(ROOT / ".dockerignore", path)


@pytest.mark.parametrize("path", [".env", ".env.production"])
def test_secrets_are_not_committed(path: str) -> None:
    assert is_left_out(ROOT / ".gitignore", path)

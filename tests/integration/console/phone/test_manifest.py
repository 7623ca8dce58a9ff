"""The console can be installed on a phone: a manifest with icons that exist, linked from every page."""

from __future__ import annotations

import json
import re
import struct
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client

LINK = re.compile(r'<link rel="manifest" href="([^"]+)">')


@pytest.fixture
def address(client: Client) -> str:
    """The address of the manifest, as the page of the login links it."""
    found = LINK.search(client.get("/login/").content.decode())
    assert found is not None
    return found[1]


@pytest.fixture
def manifest(client: Client, address: str) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == 200
    found: dict[str, Any] = json.loads(response.content)
    return found


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG file, which its first chunk names."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png[12:16] == b"IHDR"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_manifest_has_its_media_type_and_may_be_loaded(client: Client, address: str) -> None:
    assert client.get(address)["Content-Type"].startswith("application/manifest+json")
    policy = client.get("/login/")["Content-Security-Policy"]
    assert "manifest-src 'self'" in policy


def test_the_manifest_opens_the_home_page_without_the_frame_of_a_browser(manifest: dict[str, Any]) -> None:
    assert (manifest["name"], manifest["short_name"]) == ("Scriptorium", "Scriptorium")
    assert (manifest["id"], manifest["start_url"], manifest["scope"]) == ("/", "/", "/")
    assert manifest["display"] == "standalone"
    for colour in ("theme_color", "background_color"):
        assert re.fullmatch("#[0-9a-f]{6}", manifest[colour])


def test_each_icon_exists_with_its_size(client: Client, address: str, manifest: dict[str, Any]) -> None:
    found = set()
    for icon in manifest["icons"]:
        response = client.get(urljoin(address, icon["src"]))
        assert response.status_code == 200, icon
        assert response["Content-Type"] == icon["type"]
        if icon["type"] == "image/png":
            width, height = size_of(response.content)
            assert f"{width}x{height}" == icon["sizes"]
            found.add((icon["sizes"], icon.get("purpose", "any")))
    assert found == {(f"{size}x{size}", purpose) for size in (192, 512) for purpose in ("any", "maskable")}


@pytest.mark.parametrize("path", ["/", "/login/", "/executions/", "/nothing/"])
def test_every_page_links_the_manifest_and_an_icon_for_ios(browser: Client, path: str) -> None:
    page = browser.get(path).content.decode()
    assert len(LINK.findall(page)) == 1
    icon = re.search(r'<link rel="apple-touch-icon" href="([^"]+)">', page)
    assert icon is not None
    assert size_of(browser.get(icon[1]).content) == (180, 180)
    for scheme in ("light", "dark"):
        assert re.search(rf'<meta name="theme-color" content="#\w+" media="\(prefers-color-scheme: {scheme}\)">', page)

"""Single sign-on against a real provider, over real HTTP: from the page of the login to a role by group."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.browser import browsing
from tests.e2e.processes import CLOSED_BRIEF, ROOT, Machine, copy_of, free_port, machine, start_execution, wait_until
from tests.e2e.server.openid_provider import CLIENT_ID, CLIENT_SECRET, PASSWORD
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e
NAME = "Harbour ID"
NEXT = f"&{urlencode({'next': '/documents/'})}"  # of the page that people ask for
_FIELD, _ATTRIBUTE = re.compile(r"<input[^>]*>"), re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Provider:
    """The running provider."""

    link: TcpProxy  # before it

    @property
    def url(self) -> str:
        """Its issuer."""
        return f"http://127.0.0.1:{self.link.port}"

    def change(self, name: str, **claims: Any) -> None:
        """Do what an administrator of the provider does: make a person, or change the person's claims."""
        httpx.post(f"{self.url}/people/{name}/", json=claims).raise_for_status()


@contextmanager
def provider_for(callback: str, folder: Path) -> Iterator[Provider]:
    """Start a provider that knows us as a client."""
    port = free_port()
    with tcp_proxy(("127.0.0.1", port)) as link:
        provider = Provider(link)
        words = ["-m", "tests.e2e.server.openid_provider", str(folder), str(port), provider.url, callback]
        process = subprocess.Popen([sys.executable, *words], cwd=ROOT)

        def answers() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(f"{provider.url}/.well-known/openid-configuration").status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, what="the provider's answer")
            yield provider
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def site(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Provider]]:
    """A server with single sign-on, and its provider."""
    folder = tmp_path_factory.mktemp("single-sign-on")
    port = free_port()
    callback = f"http://127.0.0.1:{port}/login/single-sign-on/callback/"
    with provider_for(callback, folder) as provider:
        environment = {
            "OIDC_ISSUER": provider.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": NAME,
            "OIDC_SECONDS": "60",  # a busy machine is slow
            "OIDC_SCOPES": "profile,email,groups",
            "OIDC_GROUPS": "editors=reviewer@project/harbour,admins=staff",
        }
        with machine(copy_of(prepared, folder), **environment) as installed:
            installed.port = port
            installed.serve("--no-worker")
            yield installed, provider


class Person:
    """A person with a browser, who follows each redirect by hand."""

    def __init__(self, name: str, browser: httpx.Client) -> None:
        self.name, self.browser = name, browser

    def begin(self, wanted: str = "/documents/") -> str:
        """Press the button on the page of the login, and return the provider's address."""
        page = self.browser.get("/login/", params={"next": wanted}).text
        found = re.search(rf'<a class="button" href="([^"]+)">Log in with {NAME}</a>', page)
        assert found is not None, page
        return self.browser.get(unescape(found[1])).headers["location"]

    def approve(self, address: str, *, allow: bool = True) -> str:
        """Log in at the provider if it asks, approve or cancel, and return the address that it leads back to."""
        answer = self.browser.get(address)
        if answer.headers.get("location", "").startswith("/login/?"):
            login = urljoin(address, answer.headers["location"])
            given = fields_of(self.browser.get(login).text) | {"username": self.name, "password": PASSWORD}
            assert self.browser.post(login, data=given).status_code == 302
            answer = self.browser.get(address)
        if answer.status_code == 200:
            pressed = {"allow": "Authorize"} if allow else {}
            form = {name: value for name, value in fields_of(answer.text).items() if name != "allow"}
            answer = self.browser.post(address, data=form | pressed)
        return answer.headers["location"]

    def come_back(self, address: str) -> str:
        """Follow the provider's redirect to us, and return where we lead to."""
        answer = self.browser.get(address)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def log_in(self) -> str:
        """Log in by single sign-on, and return where we lead to."""
        return self.come_back(self.approve(self.begin()))

    def session_seconds(self) -> float:
        """Return for how long the browser keeps the session."""
        [cookie] = (each for each in self.browser.cookies.jar if each.name == "sessionid")
        return (cookie.expires or 0) - time.time()

    def is_logged_in(self) -> bool:
        """Whether a page opens."""
        return self.browser.get("/documents/").status_code == 200


@pytest.fixture
def person(site: tuple[Machine, Provider]) -> Iterator[Callable[[str], Person]]:
    """Return what gives a person a new browser."""
    with ExitStack() as browsers:
        yield lambda name: Person(
            name, browsers.enter_context(httpx.Client(base_url=site[0].url, timeout=HANG_SECONDS))
        )


def fields_of(page: str) -> dict[str, str]:
    """Return the names and values of a form."""
    found = [dict(_ATTRIBUTE.findall(field)) for field in _FIELD.findall(page)]
    return {each["name"]: unescape(each.get("value", "")) for each in found if "name" in each}


def changed(address: str, **values: str | None) -> str:
    """Return an address with other values in its query; None removes one."""
    parts = urlsplit(address)
    query = {name: value for name, value in (dict(parse_qsl(parts.query)) | values).items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(query)))


def test_groups_give_roles_and_take_them(site: tuple[Machine, Provider], person: Callable[[str], Person]) -> None:
    installed, provider = site
    with installed.client("ada") as ada:
        execution = f"/api/v1/executions/{start_execution(ada, CLOSED_BRIEF, key='harbour')}"
    about = {"preferred_username": "ida", "given_name": "Ida", "email": "ida@example.org", "email_verified": True}
    provider.change("ida", **about, groups=["editors", "sailors"])
    ida = person("ida")

    sent = parse_qs(urlsplit(ida.begin()).query)
    assert sent["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(sent)
    assert set(sent["scope"][0].split()) == {"openid", "profile", "email", "groups"}

    assert ida.session_seconds() <= 600
    assert ida.log_in() == "/documents/"
    assert ida.session_seconds() > 24 * 3600
    page = ida.browser.get("/documents/")
    assert page.status_code == 200
    assert "ida-2" in page.text, "another user has the name ida"
    assert ida.browser.get(execution).status_code == 200

    provider.change("ida", **about, groups=["sailors"])
    assert ida.log_in() == "/documents/"
    assert ida.browser.get(execution).status_code == 404
    assert ida.browser.get("/admin/").status_code == 302

    provider.change("ida", **about, groups=["admins"])
    again = person("ida")
    again.log_in()
    assert "ida-2" in again.browser.get("/documents/").text
    assert again.browser.get("/admin/").status_code == 200
    assert again.browser.get("/admin/socialaccount/socialapp/").status_code == 404

    form = fields_of(again.browser.get("/documents/").text)
    assert again.browser.post("/logout/", data=form).status_code == 302
    assert not again.is_logged_in()


def test_what_was_tampered_with_logs_in_no_person(
    site: tuple[Machine, Provider], person: Callable[[str], Person]
) -> None:
    installed, provider = site
    provider.change("eve", preferred_username="eve", groups=["admins"])
    eve = person("eve")

    def refused(fault: str, address: str) -> None:
        target = eve.come_back(address)
        wanted = "" if fault == "state" else NEXT  # which the state has
        assert target == f"/login/?fault={fault}{wanted}"
        assert 'role="alert"' in eve.browser.get(target).text
        assert not eve.is_logged_in()

    refused("refused", eve.approve(changed(eve.begin(), nonce="of-another-login")))
    assert "the nonce of the ID token" in installed.logs()
    refused("refused", eve.approve(changed(eve.begin(), code_challenge="A" * 43)))
    refused("refused", eve.approve(changed(eve.begin(), code_challenge=None, code_challenge_method=None)))
    refused("denied", eve.approve(eve.begin(), allow=False))
    back = eve.approve(eve.begin())
    refused("state", changed(back, state="of-another-login"))
    refused("refused", changed(back, code="of-another-login"))
    refused("state", back)
    stranger = person("eve")
    stranger.browser.cookies.update({k: v for k, v in eve.browser.cookies.items() if k.startswith("provider_")})
    back = eve.approve(eve.begin())
    assert stranger.come_back(back) == "/login/?fault=state", "a log-in ends in the browser in which it began"

    for path in ("signup/", "login/", "connections/", "error/", "../../accounts/login/", "../password/reset/"):
        assert eve.browser.get(f"/login/single-sign-on/{path}").status_code == 404

    assert eve.come_back(eve.approve(eve.begin("https://elsewhere.example/"))) == "/"
    assert eve.is_logged_in()


def test_a_provider_that_is_away_is_a_sentence(site: tuple[Machine, Provider], person: Callable[[str], Person]) -> None:
    installed, provider = site
    provider.change("otto", preferred_username="otto")
    otto = person("otto")
    back = otto.approve(otto.begin())
    provider.link.go_down()
    try:
        target = otto.come_back(back)
    finally:
        provider.link.come_up()
    assert target == f"/login/?fault=unreachable{NEXT}"
    assert "cannot be reached" in otto.browser.get(target).text
    assert "Traceback" not in installed.logs()


@pytest.mark.browser
@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.torture), 360])
def test_a_person_comes_from_the_login_page_to_a_role_by_group(
    site: tuple[Machine, Provider], browser: Browser, width: int
) -> None:
    installed, provider = site
    with installed.client("ada") as ada:
        start_execution(ada, CLOSED_BRIEF, key="harbour")
    provider.change("vera", preferred_username="vera", groups=["editors"])
    with browsing(browser) as context:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{installed.url}/documents/")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("link", name=f"Log in with {NAME}").click()
        page.locator("[name=username]").fill("vera")
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert").filter(has_text="cancelled")).to_be_visible()
        page.get_by_role("link", name=f"Log in with {NAME}").click()
        page.get_by_role("button", name="Authorize").click()
        page.wait_for_url("**/documents/")  # the page that was asked for at first
        expect(page.locator(".menu summary")).to_contain_text("vera-2")
        page.get_by_role("link", name="Scopes").click()
        expect(page.get_by_role("listitem").filter(has_text="harbour")).to_contain_text("reviewer")

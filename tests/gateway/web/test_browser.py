"""The link page in a real Chromium, on a small phone: opening the link is enough, but only if somebody looks."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from gateway import campaigns, keys, optouts
from gateway.app import create_app
from gateway.db import Database
from gateway.models import Category, Role
from gateway.settings import Settings
from tests.gateway.web.conftest import PHONE

# The browser is what is tested here; test_recipients.py asks the same of both databases.
pytestmark = [pytest.mark.browser, pytest.mark.parametrize("settings", ["sqlite"], indirect=True)]

NUMBER = "+4915123456789"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
# Longer than the page's own dwell by far, and waited for only where nothing may happen.
NOTHING_HAPPENS_MS = 1500


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium found")
    browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def site(settings: Settings, db: Database) -> Iterator[str]:
    """The gateway behind a real server; returns its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        here = settings.model_copy(update={"public_url": address, "company_name": "Acme Shoes"})
        server = uvicorn.Server(uvicorn.Config(create_app(here, db), log_config=None, lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield address
        server.should_exit = True
        thread.join()


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page on a phone; what the browser complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_phone(**options: Any) -> Page:
        phone_like = {"viewport": {"width": 360, "height": 640}, "user_agent": PHONE, "locale": "en-US"}
        context = chromium.new_context(**(phone_like | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_phone
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def program(make_program: Callable[..., int]) -> int:
    return make_program("Acme")


@pytest.fixture
def token(program: int, make_sender: Callable[..., int], link_to: Callable[..., str]) -> str:
    return link_to(program, make_sender(program), NUMBER)


def is_out(db: Database, program: int) -> bool:
    return db.reading(optouts.is_out, NUMBER, Category.MARKETING, program)


def test_one_tap_on_the_link_is_the_whole_opt_out(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone()
    page.goto(f"{site}/u/{token}")
    expect(page.get_by_role("heading", name="You are out")).to_be_visible()
    expect(page.get_by_text("Acme Shoes")).to_be_visible()
    assert is_out(db, program)


def test_p6_a_hidden_tab_fires_only_when_she_looks_at_it(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone()
    page.add_init_script(
        """window.shown = false;
        Object.defineProperty(document, "visibilityState", {get: () => window.shown ? "visible" : "hidden"});"""
    )
    page.goto(f"{site}/u/{token}")
    page.wait_for_timeout(NOTHING_HAPPENS_MS)
    assert not is_out(db, program)
    page.evaluate("window.shown = true; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", name="You are out")).to_be_visible()
    assert is_out(db, program)


def test_p6_a_prerendered_page_waits_for_her(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone()
    page.add_init_script(
        "window.ahead = true; Object.defineProperty(document, 'prerendering', {get: () => window.ahead});"
    )
    page.goto(f"{site}/u/{token}")
    page.wait_for_timeout(NOTHING_HAPPENS_MS)
    assert not is_out(db, program)
    page.evaluate("window.ahead = false; document.dispatchEvent(new Event('prerenderingchange'))")
    expect(page.get_by_role("heading", name="You are out")).to_be_visible()


def test_p6_a_glimpse_is_not_a_look(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone()
    page.add_init_script(
        """const shownUntil = performance.now() + 200;
        Object.defineProperty(document, "visibilityState",
          {get: () => performance.now() < shownUntil ? "visible" : "hidden"});"""
    )
    page.goto(f"{site}/u/{token}")
    page.wait_for_timeout(NOTHING_HAPPENS_MS)
    assert not is_out(db, program)


def test_without_javascript_one_button_does_it(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone(java_script_enabled=False)
    page.goto(f"{site}/u/{token}")
    assert not is_out(db, program)
    button = page.get_by_role("button", name="Stop the texts")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 48
    assert box["y"] + box["height"] <= 640
    button.click()
    expect(page.get_by_role("heading", name="You are out")).to_be_visible()
    assert is_out(db, program)


def test_undo_and_back_do_not_opt_her_out_again(
    site: str, phone: Callable[..., Page], db: Database, program: int, token: str
) -> None:
    page = phone()
    page.goto(f"{site}/u/{token}")
    page.get_by_role("button", name="Send me texts again").click()
    expect(page.get_by_role("heading", name="You are back in")).to_be_visible()
    assert not is_out(db, program)
    page.goto(f"{site}/u/{token}")
    expect(page.get_by_role("button", name="Stop the texts")).to_be_visible()
    page.wait_for_timeout(NOTHING_HAPPENS_MS)
    assert not is_out(db, program)


def test_a_reason_takes_one_tap(site: str, phone: Callable[..., Page], token: str) -> None:
    page = phone()
    page.goto(f"{site}/u/{token}")
    page.get_by_role("button", name="Too many texts").click()
    expect(page.get_by_text("Thank you for telling us.")).to_be_visible()


def test_a_german_phone_gets_german(site: str, phone: Callable[..., Page], token: str) -> None:
    page = phone(locale="de-DE")
    page.goto(f"{site}/u/{token}")
    expect(page.get_by_role("heading", name="Sie sind abgemeldet")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "de"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["de-DE", "fr-FR", "es-ES", "en-GB"])
def test_nothing_is_cut_off_on_a_small_phone(
    site: str, phone: Callable[..., Page], token: str, scheme: str, locale: str
) -> None:
    page = phone(viewport={"width": 280, "height": 500}, color_scheme=scheme, locale=locale)
    page.goto(f"{site}/u/{token}")
    page.locator("fieldset").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (_brightness(paper) > _brightness(ink)) is (scheme == "light")


def test_a_running_campaign_is_shown_live(
    site: str,
    phone: Callable[..., Page],
    db: Database,
    settings: Settings,
    program: int,
    make_sender: Callable[..., int],
    now: datetime,
) -> None:
    sender = make_sender(program)
    page = phone()
    page.goto(f"{site}/console")
    page.get_by_label("API key").fill(db.writer.run(keys.create, "Anna", Role.MARKETER, now))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="New campaign").click()
    page.get_by_label("Sender").select_option(str(sender))
    page.get_by_label("for you").fill("Sale")
    page.get_by_label("Text", exact=True).fill("50% off!")
    page.get_by_label("one number a line").fill(NUMBER)
    page.get_by_role("button", name="Check and preview").click()
    page.get_by_role("button", name="Send to 1 recipient").click()
    expect(page.get_by_text("0 of 1 recipients taken up")).to_be_visible()
    page.evaluate("window.untouched = true")
    db.writer.run(campaigns.expand_batch, 1, settings, now)
    expect(page.get_by_text("1 of 1 recipients taken up")).to_be_visible()
    assert page.evaluate("window.untouched")


def _brightness(colour: str) -> int:
    """Of a `rgb(…)` as browsers print it: the sum of its three parts."""
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

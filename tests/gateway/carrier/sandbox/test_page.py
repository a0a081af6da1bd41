"""The phones in a real browser."""

import shutil
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, async_playwright

from gateway.carrier import OptedOutAtCarrier
from gateway.carrier.sandbox import Answers
from tests.gateway.carrier.stage import ANNA, BEN, SHOP, Stage, play, text_to

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

PageStory = Callable[[Stage, Page], Awaitable[None]]


def play_in_browser(story: PageStory, locale: str = "en-US", **config: object) -> None:
    """Run `story` with the phones of Anna and Ben open; fails on any complaint in the console."""
    complaints: list[str] = []

    async def browse(stage: Stage) -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await browser.new_page(locale=locale)
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(stage.sandbox.url)
            await page.wait_for_selector(".phone >> nth=1")
            await story(stage, page)
            await browser.close()

    play(browse, phones=(ANNA, BEN), **config)
    # A refused text is a 400, which Chromium reports by itself whatever the page makes of it.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def test_a_stop_typed_on_the_screen_is_answered_and_blocks():
    async def story(stage: Stage, page: Page) -> None:
        await stage.carrier.send(text_to(ANNA, "Sale today"))
        anna = page.locator(".phone").first
        await anna.get_by_text("Sale today").wait_for()
        await anna.locator("input").fill("stop")
        await anna.get_by_role("button", name="Send").click()
        await anna.get_by_text("successfully been unsubscribed").wait_for()
        with pytest.raises(OptedOutAtCarrier):
            await stage.carrier.send(text_to(ANNA, "One more"))
        await anna.get_by_text("blocked: this phone has opted out").wait_for()
        assert await anna.locator("input").input_value() == ""
        assert stage.inbox.posts[0].form["Body"] == "stop"
        assert await page.locator(".phone").nth(1).locator("li").count() == 0

    play_in_browser(story, answers=Answers.TWILIO)


def test_strangers_text_stays_text_and_links_can_be_tapped():
    body = "<img src=x onerror=alert(1)> <b>Sale</b> https://t.example/u/x7Kp2mQ9. or t.example/u/abc, ok"

    async def story(stage: Stage, page: Page) -> None:
        await stage.carrier.send(text_to(ANNA, body))
        shown = page.locator(".theirs .body")
        await shown.wait_for()
        assert await shown.text_content() == body
        links = await shown.locator("a").evaluate_all("links => links.map(link => link.href)")
        assert links == ["https://t.example/u/x7Kp2mQ9", "https://t.example/u/abc"]
        assert await shown.locator("img, b").count() == 0

    play_in_browser(story)


@pytest.mark.parametrize(
    ("locale", "country", "button", "state"),
    [("de-DE", "Deutschland", "Senden", "zugestellt"), ("fr-FR", "Germany", "Send", "delivered")],
)
def test_the_page_speaks_the_browsers_language(locale, country, button, state):
    async def story(stage: Stage, page: Page) -> None:
        await stage.carrier.send(text_to(ANNA))
        await page.get_by_text(state).wait_for()
        assert await page.locator("h2").first.text_content() == f"{country} · {ANNA}"
        assert await page.locator("form button").first.text_content() == button

    play_in_browser(story, locale)


def test_a_phone_cannot_answer_a_name_and_says_so():
    async def story(stage: Stage, page: Page) -> None:
        await stage.carrier.send(text_to(ANNA, sender="ACME"))
        await page.get_by_text("ACME").wait_for()
        await page.get_by_role("button", name="STOP").first.click()
        await page.get_by_text("it cannot be answered").wait_for()
        assert await page.locator(".mine").count() == 0

    play_in_browser(story)


def test_the_campaign_link_shows_only_where_there_is_one():
    async def with_link(stage: Stage, page: Page) -> None:
        await page.get_by_role("link", name="Send a campaign").wait_for()

    async def without(stage: Stage, page: Page) -> None:
        assert not await page.locator("#campaign").is_visible()

    play_in_browser(with_link, campaign_url="http://127.0.0.1:1/console")
    play_in_browser(without)


def test_the_page_fits_a_small_phone():
    async def story(stage: Stage, page: Page) -> None:
        await stage.carrier.send(text_to(ANNA, "https://t.example/" + "x" * 120, sender=SHOP))
        await page.set_viewport_size({"width": 320, "height": 640})
        await page.locator(".theirs").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") == 320

    play_in_browser(story)

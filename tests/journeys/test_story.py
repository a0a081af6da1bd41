"""The whole story over real sockets: the SDK, signed webhooks, a page, the API, the log. On both databases."""

import csv
import io
import re
import urllib.parse
from typing import Any

import httpx2
import pytest

from gateway import audit, campaigns
from gateway.models import Category, Role
from gateway.optouts import is_out
from tests.journeys.conftest import House
from tests.journeys.stage import SENDER, call, until

ANNA, BEN, CARLA = "+4915735981001", "+4915735981002", "+4915735981003"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/u/\w{10}")


def link_in(body: str) -> str:
    found = LINK.search(body)
    assert found, body
    return found[0]


def tap(link: str) -> str:
    """What a browser does without JavaScript: gets the page, presses its one button."""
    phone = {
        "User-Agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"
    }
    page = call("GET", link, **phone)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page))
    return httpx2.post(link, data=fields, headers=phone, timeout=10).raise_for_status().text


def out(house: House, number: str) -> bool:
    return house.db.reading(is_out, number, Category.MARKETING, house.program)


def events(house: House, number: str) -> list[dict[str, Any]]:
    quoted = urllib.parse.quote(number)
    return list(house.api("GET", f"audit-events?number={quoted}", role=Role.AUDITOR))


def test_the_main_job(house: House) -> None:
    first = house.campaign("Spring sale", [ANNA, "01573 5981002", CARLA, ANNA])
    until(lambda: len(house.sandbox.outbound()) == 3)

    # Anna answers in her own words: out at once, one confirmation that names the company and the way back.
    house.sandbox.phone_sends(ANNA, "stpo!!")
    confirmation = until(lambda: house.sandbox.texts_to(ANNA)[1:])
    assert len(confirmation) == 1
    assert "Acme" in confirmation[0]
    assert "START" in confirmation[0]
    assert out(house, ANNA)

    # Again: written down, not confirmed again.
    house.sandbox.phone_sends(ANNA, "STOP")
    until(lambda: any(e["action"] == "opt_out.repeated" for e in events(house, ANNA)))

    # Ben taps the link in his text.
    assert "Acme" in tap(link_in(house.sandbox.texts_to(BEN)[0]))
    assert out(house, BEN)

    # The next campaign reaches Carla alone.
    second = house.campaign("Summer sale", [ANNA, BEN, CARLA])
    until(lambda: house.api("GET", f"campaigns/{second}")["by_state"].get("delivered") == 1)
    progress = house.api("GET", f"campaigns/{second}")
    assert (progress["state"], progress["skipped_out"]) == ("expanded", 2)
    assert len(house.sandbox.texts_to(ANNA)) == 2
    assert len(house.sandbox.texts_to(BEN)) == 1

    # Anna comes back.
    house.sandbox.phone_sends(ANNA, "start")
    until(lambda: len(house.sandbox.texts_to(ANNA)) == 3)
    assert not out(house, ANNA)
    third = house.campaign("Autumn sale", [ANNA, BEN])
    until(lambda: house.api("GET", f"campaigns/{third}")["by_state"].get("delivered") == 1)
    assert "Autumn" in house.sandbox.texts_to(ANNA)[-1]

    # The auditor's export tells it all, and only to somebody who may read it.
    story = [e["action"] for e in events(house, ANNA)]
    for step in ("message.sent", "opt_out.recorded", "opt_out.repeated", "recipient.skipped", "opt_out.lifted"):
        assert step in story
    with pytest.raises(httpx2.HTTPStatusError) as refused:
        house.api("GET", "audit-events", role=Role.MARKETER)
    assert refused.value.response.status_code == 403
    sheet = io.StringIO()
    count = house.db.reading(lambda connection: audit.export_csv(audit.read(connection), sheet))
    exported = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    assert len(exported) == count
    assert [row["action"] for row in exported if row["number"] == ANNA] == story
    assert house.db.reading(campaigns.progress, first).by_state["delivered"] == 3


def test_twilio_answers_and_we_do_not(house: House) -> None:
    """P4: an OptOutType on the webhook means that a confirmation has gone out already."""
    webhook = f"{house.settings.public_url}/twilio/inbound"
    register(house, answers="twilio", webhook=webhook)
    house.sandbox.phone_sends(ANNA, "STOP")
    until(lambda: out(house, ANNA))
    until(lambda: any(e["action"] == "reply.not_sent" for e in events(house, ANNA)))
    assert not [text for text in house.sandbox.texts_to(ANNA) if "Acme" in text]


@pytest.mark.parametrize("in_callback", [False, True])
def test_a_stop_that_only_the_carrier_knows(house: House, in_callback: bool) -> None:
    """21610, as the answer to our text or in a callback, is the same event as a STOP."""
    register(house, answers="twilio", webhook="")
    house.sandbox.faults(block_in_callback=in_callback)
    house.sandbox.phone_sends(ANNA, "STOP")
    assert not out(house, ANNA)
    house.campaign("Spring sale", [ANNA, BEN])
    until(lambda: out(house, ANNA))
    assert not out(house, BEN)
    (recorded,) = [e for e in events(house, ANNA) if e["action"] == "opt_out.recorded"]
    assert (recorded["actor"], recorded["details"]["rule"]) == ("carrier", "carrier:21610")


def register(house: House, **sender: str) -> None:
    call("POST", f"{house.sandbox.url}/sandbox/senders", {"number": SENDER, **sender})


def test_a_campaign_without_a_link_only_where_replies_arrive(house: House) -> None:
    sender = house.api("POST", "senders", {"program_id": house.program, "address": "ACME"})["id"]
    with pytest.raises(httpx2.HTTPStatusError) as refused:
        house.campaign("No way out", [ANNA], sender_id=sender, with_link=False)
    assert refused.value.response.status_code == 422
    assert refused.value.response.json()["field"] == "with_link"

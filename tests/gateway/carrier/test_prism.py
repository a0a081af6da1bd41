"""The sandbox against Twilio's own OpenAPI document: Prism stands between the SDK and the sandbox.

With `--errors` Prism answers 500 where the sandbox's answer violates the document, and 422 where the SDK's
request does; both reach us as errors.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from gateway.carrier import OptedOutAtCarrier, OutcomeUnknown, Refused
from gateway.carrier.sandbox import Answers, SandboxConfig, Sender, spawned_sandbox
from gateway.carrier.twilio import TwilioCarrier
from tests.gateway.carrier.raw import server_saying
from tests.gateway.carrier.stage import ACCOUNT, ANNA, BEN, SHOP, TOKEN, text_to

SERVICE = "MG" + "7" * 32
CONFIG = SandboxConfig(ACCOUNT, TOKEN, senders=(Sender(SHOP, Answers.TWILIO, service_sid=SERVICE),))
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages"


@pytest.fixture(scope="module")
def sandbox_url(prism_in_front_of) -> Iterator[str]:
    with spawned_sandbox(CONFIG) as url:
        yield url


@pytest.fixture(scope="module")
def checked_url(prism_in_front_of, sandbox_url) -> Iterator[str]:
    with prism_in_front_of(sandbox_url) as url:
        yield url


def with_carrier(url: str, story) -> None:
    async def play() -> None:
        carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url)
        try:
            await story(carrier)
        finally:
            await carrier.aclose()

    asyncio.run(play())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"body": "Grüße 🛑 " * 20},
        {"status_callback": "http://127.0.0.1:9/status", "validity_seconds": 600},
        {"sender": None, "messaging_service_sid": SERVICE},
    ],
)
def test_a_created_message_is_as_documented(checked_url, fields):
    async def story(carrier: TwilioCarrier) -> None:
        assert (await carrier.send(text_to(BEN, **fields))).sid.startswith("SM")

    with_carrier(checked_url, story)


def test_the_lists_are_as_documented(checked_url):
    async def story(carrier: TwilioCarrier) -> None:
        since = datetime.now(UTC) - timedelta(minutes=1)
        sent = await carrier.send(text_to(ANNA))
        assert sent.sid in [message.sid for message in await carrier.list_sent(ANNA, since)]
        assert await carrier.list_received(since, since) == []

    with_carrier(checked_url, story)


def test_a_fetched_message_is_as_documented(checked_url):
    async def story(carrier: TwilioCarrier) -> None:
        sent = await carrier.send(text_to(ANNA))
        status, message = await _get(f"{checked_url}{MESSAGES}/{sent.sid}.json")
        assert (status, message["sid"], message["status"]) == (200, sent.sid, "delivered")

    with_carrier(checked_url, story)


def test_refusals_pass_through_as_they_are(checked_url, sandbox_url):
    async def story(carrier: TwilioCarrier) -> None:
        await _phone_says_stop(sandbox_url)
        with pytest.raises(OptedOutAtCarrier):
            await carrier.send(text_to(ANNA, messaging_service_sid=SERVICE, sender=None))
        with pytest.raises(Refused) as refused:
            await carrier.send(text_to(to="nobody"))
        assert refused.value.code == 21211

    with_carrier(checked_url, story)


def test_an_answer_that_is_not_as_documented_is_caught(prism_in_front_of):
    """Without this the tests above could pass because Prism looks at nothing."""
    body = json.dumps({"sid": "SM" + "0" * 32, "status": "on its way"})

    async def story() -> None:
        async with server_saying(201, body, "Content-Type: application/json\r\n") as lying:
            with prism_in_front_of(lying) as checked:
                carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=checked)
                with pytest.raises(OutcomeUnknown):
                    await carrier.send(text_to())
                await carrier.aclose()

    asyncio.run(story())


async def _get(url: str) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def _phone_says_stop(sandbox_url: str) -> None:
    url = f"{sandbox_url}/sandbox/phones/{ANNA}/send"
    async with aiohttp.ClientSession() as http, http.post(url, json={"body": "STOP", "to": SHOP}) as answer:
        assert answer.status == 201

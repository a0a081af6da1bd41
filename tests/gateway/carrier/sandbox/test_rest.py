"""The sandbox's REST API where the SDK is too well-behaved to look: raw requests, faults, callbacks."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from aiohttp import ClientSession, encode_basic_auth

from gateway.carrier import CarrierError
from gateway.carrier.sandbox import Answers, Sender
from tests.gateway.carrier.stage import ACCOUNT, ANNA, BEN, SHOP, TOKEN, Stage, play, text_to

MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages"
FORM = {"To": ANNA, "From": SHOP, "Body": "Sale today"}
SERVICE = "MG" + "7" * 32


async def ask(stage: Stage, method: str, path: str, token: str = TOKEN, **options: object):
    headers = {"Authorization": encode_basic_auth(ACCOUNT, token)}
    url = stage.sandbox.url + path
    async with stage.http.request(method, url, headers=headers, **options) as answer:
        return answer.status, await answer.json(), answer.headers


def test_a_created_message_has_every_field_of_twilios():
    async def story(stage: Stage) -> None:
        status, message, headers = await ask(stage, "POST", f"{MESSAGES}.json", data=FORM)
        assert (status, headers["Content-Type"]) == (201, "application/json")
        assert sorted(message) == [
            "account_sid", "api_version", "body", "date_created", "date_sent", "date_updated", "direction",
            "error_code", "error_message", "from", "messaging_service_sid", "num_media", "num_segments",
            "price", "price_unit", "sid", "status", "subresource_uris", "to", "uri",
        ]  # fmt: skip
        assert message["uri"] == f"{MESSAGES}/{message['sid']}.json"
        assert message["date_created"].endswith(" +0000")
        assert (message["num_segments"], message["date_sent"]) == ("1", None)

    play(story)


def test_a_service_has_not_chosen_a_sender_when_it_answers():
    async def story(stage: Stage) -> None:
        form = {"To": ANNA, "MessagingServiceSid": SERVICE, "Body": "Sale"}
        _, message, _ = await ask(stage, "POST", f"{MESSAGES}.json", data=form)
        assert (message["status"], message["from"], message["num_segments"]) == ("accepted", None, "0")
        _, later, _ = await ask(stage, "GET", message["uri"])
        assert (later["status"], later["from"], later["num_segments"]) == ("delivered", SHOP, "1")

    play(story, senders=(Sender(SHOP, service_sid=SERVICE),))


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        (f"{MESSAGES}.json", "wrong", 401, 20003),
        (f"{MESSAGES.replace('5', '6')}.json", TOKEN, 401, 20003),
        (f"{MESSAGES}/SM{'0' * 32}.json", TOKEN, 404, 20404),
        (f"{MESSAGES}.json?PageSize=many", TOKEN, 400, 20001),
        (f"{MESSAGES}.json?DateSent=yesterday", TOKEN, 400, 20001),
    ],
)
def test_errors_have_twilios_shape(path, token, status, code):
    async def story(stage: Stage) -> None:
        given, error, _ = await ask(stage, "GET", path, token)
        assert given == status
        assert sorted(error) == ["code", "message", "more_info", "status"]
        assert (error["code"], error["status"]) == (code, status)
        assert error["more_info"] == f"https://www.twilio.com/docs/errors/{code}"

    play(story)


def test_without_credentials_nobody_gets_in():
    async def story(stage: Stage) -> None:
        async with ClientSession() as http, http.post(stage.sandbox.url + f"{MESSAGES}.json") as answer:
            assert answer.status == 401

    play(story)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "015228817386"}, 21211),
        ({"To": "+49152288"}, None),  # seven digits and more could be somewhere's number
        ({"To": "+491522"}, 21211),
        ({"To": f"whatsapp:{ANNA}", "From": f"whatsapp:{SHOP}"}, None),
        ({"From": ""}, 21603),
        ({"From": "ACME"}, None),
        ({"From": "ACME Shop 12"}, 21606),
        ({"From": "12345"}, None),
        ({"From": "12"}, 21606),
        ({"Body": "x" * 1600}, None),
        ({"Body": "x" * 1601}, 21617),
    ],
)
def test_what_is_refused_and_what_is_not(form, code):
    async def story(stage: Stage) -> None:
        status, answer, _ = await ask(stage, "POST", f"{MESSAGES}.json", data=FORM | form)
        if code is None:
            assert status == 201
        else:
            assert (status, answer["code"]) == (400, code)

    play(story)


def test_callbacks_are_signed_and_in_order():
    async def story(stage: Stage) -> None:
        sent = await stage.carrier.send(text_to(status_callback=f"{stage.inbox.url}/status?id=7"))
        await stage.sandbox.settled()
        assert stage.inbox.steps(sent.sid) == ["queued", "sent", "delivered"]
        assert all(post.is_signed for post in stage.inbox.posts)
        assert stage.inbox.posts[-1].form == {
            "MessageSid": sent.sid, "SmsSid": sent.sid, "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01",
            "From": SHOP, "To": ANNA, "MessageStatus": "delivered", "SmsStatus": "delivered",
        }  # fmt: skip

    play(story)


def test_callbacks_can_be_switched_off():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(callbacks=False)
        sent = await stage.carrier.send(text_to(status_callback=f"{stage.inbox.url}/status"))
        await stage.sandbox.settled()
        assert stage.inbox.posts == []
        assert (await ask(stage, "GET", f"{MESSAGES}/{sent.sid}.json"))[1]["status"] == "delivered"

    play(story)


def test_callbacks_can_come_twice():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(duplicate_callbacks=1.0)
        sent = await stage.carrier.send(text_to(status_callback=f"{stage.inbox.url}/status"))
        await stage.sandbox.settled()
        assert Counter(stage.inbox.steps(sent.sid)) == {"queued": 2, "sent": 2, "delivered": 2}

    play(story)


def test_callbacks_can_come_in_any_order_while_the_message_ends_delivered():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(shuffle_callbacks=True)
        texts = [text_to(status_callback=f"{stage.inbox.url}/status") for _ in range(12)]
        sent = [await stage.carrier.send(text) for text in texts]
        await stage.sandbox.settled()
        orders = {tuple(stage.inbox.steps(text.sid)) for text in sent}
        assert len(orders) > 1
        assert {tuple(sorted(order)) for order in orders} == {("delivered", "queued", "sent")}
        shown = await stage.get("/sandbox/messages")
        assert {message["status"] for message in shown} == {"delivered"}

    play(story)


def test_an_undelivered_text_says_why():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(undelivered=1.0)
        sent = await stage.carrier.send(text_to(status_callback=f"{stage.inbox.url}/status"))
        await stage.sandbox.settled()
        *before, last = stage.inbox.posts
        assert (last.form["MessageStatus"], last.form["ErrorCode"]) == ("undelivered", "30003")
        assert all("ErrorCode" not in post.form for post in before)
        assert (await ask(stage, "GET", f"{MESSAGES}/{sent.sid}.json"))[1]["error_code"] == 30003

    play(story)


def test_a_block_can_come_in_a_callback():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(block_in_callback=True)
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        sent = await stage.carrier.send(text_to(status_callback=f"{stage.inbox.url}/status"))
        await stage.sandbox.settled()
        [report] = [post.form for post in stage.inbox.posts if post.form["MessageSid"] == sent.sid]
        assert (report["MessageStatus"], report["ErrorCode"]) == ("failed", "21610")

    play(story, answers=Answers.TWILIO)


def test_a_share_of_the_answers_goes_wrong_and_a_seed_repeats_it():
    outcomes: list[list[str]] = []

    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(rate_429=0.3, rate_500=0.3, lost_answers=0.3)
        outcomes.append([await _outcome(stage) for _ in range(40)])

    play(story, seed=1)
    play(story, seed=1)
    play(story, seed=2)
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert set(outcomes[0]) == {"Sent", "RateLimited", "OutcomeUnknown"}


async def _outcome(stage: Stage) -> str:
    try:
        return type(await stage.carrier.send(text_to())).__name__
    except CarrierError as error:
        return type(error).__name__


def test_many_texts_at_once_are_all_kept_apart():
    async def story(stage: Stage) -> None:
        texts = [replace(text_to(BEN), body=f"text {n}") for n in range(200)]
        sent = await asyncio.gather(*map(stage.carrier.send, texts))
        shown = await stage.get("/sandbox/messages")
        assert {text.sid for text in sent} == {message["sid"] for message in shown}
        assert {message["body"] for message in shown} == {text.body for text in texts}

    play(story)

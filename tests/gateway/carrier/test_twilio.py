"""TwilioCarrier: the real SDK over real sockets, against the sandbox and against servers that misbehave."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.carrier import (
    CarrierError,
    OptedOutAtCarrier,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unreachable,
)
from gateway.carrier.sandbox import Answers, Sender
from gateway.carrier.twilio import TwilioCarrier
from tests.gateway.carrier.raw import answer_bytes, hang, raw_server, read_request, server_saying
from tests.gateway.carrier.stage import ACCOUNT, ANNA, BEN, SHOP, TOKEN, Stage, play, text_to

AN_HOUR = timedelta(hours=1)
SERVICE = "MG" + "7" * 32


def test_send_answers_with_the_sid_under_which_the_text_is_listed():
    async def story(stage: Stage) -> None:
        sent = await stage.carrier.send(text_to(body="Grüße 🛑 https://t.example/abc"))
        assert (sent.sid[:2], sent.status) == ("SM", "queued")
        [listed] = await stage.carrier.list_sent(ANNA, datetime.now(UTC) - AN_HOUR)
        assert (listed.sid, listed.to, listed.sender) == (sent.sid, ANNA, SHOP)
        assert listed.body == "Grüße 🛑 https://t.example/abc"
        assert (listed.status, listed.error_code, listed.direction) == ("delivered", None, "outbound-api")
        assert abs(datetime.now(UTC) - listed.created_at) < timedelta(minutes=1)

    play(story)


def test_send_hands_over_every_field():
    async def story(stage: Stage) -> None:
        callback = f"{stage.inbox.url}/status?m=7&x=a%2Fb"
        text = text_to(messaging_service_sid=SERVICE, sender=None, status_callback=callback)
        sent = await stage.carrier.send(text)
        await stage.sandbox.settled()
        assert sent.status == "accepted"
        assert {post.url for post in stage.inbox.posts} == {callback}
        assert stage.inbox.posts[0].form["MessagingServiceSid"] == SERVICE

    play(story, senders=(Sender(SHOP, service_sid=SERVICE),))


def test_validity_goes_out_in_seconds():
    asked = asyncio.run(_what_is_asked(text_to(validity_seconds=600)))
    assert b"ValidityPeriod=600" in asked
    assert b"StatusCallback" not in asked


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "+1"}, 21211),
        ({"sender": "not a sender!!"}, 21606),
        ({"sender": None}, 21603),
        ({"sender": None, "messaging_service_sid": SERVICE}, 21703),
        ({"body": ""}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"to": SHOP}, 21266),
        ({"status_callback": "nonsense"}, 21609),
    ],
)
def test_a_text_that_can_never_go_is_refused_with_twilios_code(fields, code):
    async def story(stage: Stage) -> None:
        with pytest.raises(Refused) as refused:
            await stage.carrier.send(text_to(**fields))
        assert refused.value.code == code
        assert await stage.get("/sandbox/messages") == []

    play(story)


def test_no_error_holds_the_number_or_the_body():
    async def story(stage: Stage) -> None:
        with pytest.raises(Refused) as refused:
            await stage.carrier.send(text_to(to="+491522881738612345", body="secret"))
        told = repr(refused.value) + str(refused.value.args) + repr(refused.value.__cause__)
        assert "4915228" not in told
        assert "secret" not in told
        assert refused.value.__suppress_context__

    play(story)


def test_a_wrong_token_is_refused():
    async def story(stage: Stage) -> None:
        stranger = TwilioCarrier(ACCOUNT, "wrong", api_url=stage.sandbox.url)
        with pytest.raises(Refused) as refused:
            await stranger.send(text_to())
        await stranger.aclose()
        assert refused.value.code == 20003

    play(story)


def test_a_recipient_on_the_block_list_is_an_opt_out():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        with pytest.raises(OptedOutAtCarrier):
            await stage.carrier.send(text_to(ANNA))
        assert (await stage.carrier.send(text_to(BEN))).status == "queued"

    play(story, answers=Answers.TWILIO)


@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_too_many_requests_say_how_long_to_wait(seconds):
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(rate_429=1.0, retry_after=seconds)
        with pytest.raises(RateLimited) as limited:
            await stage.carrier.send(text_to())
        assert limited.value.retry_after == seconds
        assert await stage.get("/sandbox/messages") == []

    play(story)


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (1.0, 1)])
def test_a_server_error_is_a_doubt_and_never_repeated(share, kept):
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(rate_500=1.0, created_on_500=share)
        with pytest.raises(OutcomeUnknown) as doubt:
            await stage.carrier.send(text_to())
        assert doubt.value.cause == "HTTP 500"
        assert len(await stage.get("/sandbox/messages")) == kept

    play(story)


def test_a_lost_answer_is_a_doubt_that_the_list_settles():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(lost_answers=1.0)
        before = datetime.now(UTC)
        with pytest.raises(OutcomeUnknown) as doubt:
            await stage.carrier.send(text_to(body="Sale https://t.example/token77"))
        assert doubt.value.cause == "ServerDisconnectedError"
        [listed] = await stage.carrier.list_sent(ANNA, before)
        assert "token77" in listed.body

    play(story)


def test_the_timeout_ends_a_wait_and_leaves_a_doubt():
    async def story(stage: Stage) -> None:
        stage.sandbox.set_faults(latency=30.0)
        hasty = TwilioCarrier(ACCOUNT, TOKEN, api_url=stage.sandbox.url, timeout=0.2)
        with pytest.raises(OutcomeUnknown) as doubt:
            await hasty.send(text_to())
        await hasty.aclose()
        assert doubt.value.cause == "TimeoutError"

    play(story)


def test_a_closed_port_is_unreachable():
    async def story() -> None:
        async with raw_server(hang) as url:
            pass
        with pytest.raises(Unreachable):
            await _send_once(url)

    asyncio.run(story())


def test_an_address_that_is_none_is_unreachable():
    with pytest.raises(Unreachable):
        asyncio.run(_send_once("carrier.example/without-scheme"))


def test_waiting_for_a_free_connection_is_unreachable_and_not_a_doubt():
    async def story() -> None:
        async with raw_server(hang) as url:
            carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url, concurrency=1, timeout=1.0)
            outcomes = await asyncio.gather(
                carrier.send(text_to(ANNA)), carrier.send(text_to(BEN)), return_exceptions=True
            )
            await carrier.aclose()
        assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, Unreachable]

    asyncio.run(story())


def test_a_create_is_not_repeated_on_a_connection_that_the_server_has_closed():
    """aiohttp repeats a GET on a kept connection that turns out dead. A POST would be a second text."""
    asked: list[bytes] = []

    async def once_then_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(answer_bytes(201, json.dumps({"sid": "SM1", "status": "queued"})))
        asked.append(await read_request(reader))

    async def story() -> None:
        async with raw_server(once_then_cut) as url:
            carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url)
            await carrier.send(text_to())
            with pytest.raises(OutcomeUnknown):
                await carrier.send(text_to())
            await carrier.aclose()

    asyncio.run(story())
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (201, "<html>", OutcomeUnknown),
        (201, "[]", OutcomeUnknown),
        (201, "", OutcomeUnknown),
        (201, '{"status": "queued"}', OutcomeUnknown),
        (302, "", OutcomeUnknown),
        (503, "away", OutcomeUnknown),
        (503, '{"code": 20429, "message": "Too Many Requests", "status": 503}', RateLimited),
        (429, "", RateLimited),
        (404, "no such page", Refused),
        (403, '{"code": "forbidden", "message": "a proxy says no"}', Refused),
        (400, '{"code": 21610, "message": "unsubscribed", "status": 400}', OptedOutAtCarrier),
        (
            400,
            '{"type": "t", "title": "Bad", "status": 400, "code": 21211, "detail": "To +4915228817386"}',
            Refused,
        ),
    ],
)
def test_every_strange_answer_has_its_error(status, body, error):
    with pytest.raises(CarrierError) as raised:
        asyncio.run(_send_to_server_saying(status, body))
    assert type(raised.value) is error
    assert "4915228" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.25", 0.25), ("-1", 0.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 1.0)]
)
def test_retry_after_in_all_its_forms(header, seconds):
    with pytest.raises(RateLimited) as limited:
        asyncio.run(_send_to_server_saying(429, "", f"Retry-After: {header}\r\n"))
    assert limited.value.retry_after == seconds


def test_list_sent_shows_one_recipients_outbound_texts_newest_first():
    async def story(stage: Stage) -> None:
        first = await stage.carrier.send(text_to(ANNA))
        await stage.carrier.send(text_to(BEN))
        stage.sandbox.phone_sends(ANNA, SHOP, "hello")
        second = await stage.carrier.send(text_to(ANNA))
        listed = await stage.carrier.list_sent(ANNA, datetime.now(UTC) - AN_HOUR)
        assert [message.sid for message in listed] == [second.sid, first.sid]
        assert await stage.carrier.list_sent(ANNA, datetime.now(UTC) + AN_HOUR) == []

    play(story)


def test_list_received_takes_any_time_zone_and_goes_through_all_pages(monkeypatch):
    monkeypatch.setattr("gateway.carrier.twilio.LARGEST_PAGE", 2)

    async def story(stage: Stage) -> None:
        for number in range(5):
            stage.sandbox.phone_sends(ANNA, SHOP, f"text {number}")
        await stage.carrier.send(text_to(ANNA))
        now = datetime.now(timezone(timedelta(hours=9)))
        received = await stage.carrier.list_received(now - AN_HOUR, now + AN_HOUR)
        assert [message.body for message in received] == [f"text {n}" for n in (4, 3, 2, 1, 0)]
        assert {message.direction for message in received} == {"inbound"}
        assert await stage.carrier.list_received(now - 2 * AN_HOUR, now - AN_HOUR) == []
        assert await stage.carrier.list_received(now + AN_HOUR, now + 2 * AN_HOUR) == []

    play(story)


def test_list_received_can_be_limited_to_one_sender():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "to the shop")
        stage.sandbox.phone_sends(ANNA, BEN, "to somebody else")
        now = datetime.now(UTC)
        [received] = await stage.carrier.list_received(now - AN_HOUR, now + AN_HOUR, SHOP)
        assert (received.sender, received.to, received.body) == (ANNA, SHOP, "to the shop")

    play(story)


def test_a_list_that_fails_is_a_carrier_error():
    async def story() -> None:
        async with server_saying(500, "away") as url:
            carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url)
            with pytest.raises(OutcomeUnknown):
                await carrier.list_sent(ANNA, datetime.now(UTC))
            await carrier.aclose()

    asyncio.run(story())


def test_a_carrier_that_never_sent_can_be_closed():
    asyncio.run(TwilioCarrier(ACCOUNT, TOKEN).aclose())


async def _send_to_server_saying(status: int, body: str, headers: str = "") -> None:
    async with server_saying(status, body, headers) as url:
        await _send_once(url)


async def _send_once(url: str, text=None) -> None:
    carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url, timeout=5.0)
    try:
        await carrier.send(text or text_to())
    finally:
        await carrier.aclose()


async def _what_is_asked(text) -> bytes:
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(answer_bytes(201, json.dumps({"sid": "SM1", "status": "queued"})))
        await reader.read()

    async with raw_server(note) as url:
        await _send_once(url, text)
    return asked[0]

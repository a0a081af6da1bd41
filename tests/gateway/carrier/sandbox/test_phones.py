"""Phones that text back: who blocks, who answers, what the webhook is told."""

import pytest

from gateway.carrier import OptedOutAtCarrier
from gateway.carrier.sandbox import Answers, Sender
from gateway.carrier.sandbox.phones import keyword_of
from tests.gateway.carrier.stage import ACCOUNT, ANNA, BEN, SHOP, Stage, play, text_to

CLUB = "+18555550124"
SERVICE = "MG" + "7" * 32


@pytest.mark.parametrize(
    ("body", "twilio", "carrier"),
    [
        ("STOP", "STOP", "STOP"),
        ("stop", "STOP", "STOP"),
        ("  Stop \n", "STOP", "STOP"),
        ("STOP.", None, None),
        ("stop it", None, None),
        ("STOPALL", "STOP", None),
        ("Unsubscribe", "STOP", None),
        ("revoke", "STOP", None),
        ("optout", "STOP", None),
        ("cancel", "STOP", None),
        ("end", "STOP", None),
        ("quit", "STOP", None),
        ("START", "START", "START"),
        ("unstop", "START", "START"),
        ("yes", "START", None),
        ("HELP", "HELP", None),
        ("info", "HELP", None),
        ("", None, None),
    ],
)
def test_keywords_of_each_answerer(body, twilio, carrier):
    assert keyword_of(body, Answers.TWILIO) == twilio
    assert keyword_of(body, Answers.CARRIER) == carrier
    assert keyword_of(body, Answers.GATEWAY) is None


def test_the_webhook_gets_twilios_form_signed():
    async def story(stage: Stage) -> None:
        message = stage.sandbox.phone_sends(ANNA, SHOP, "bitte nicht mehr schreiben 🛑")
        await stage.sandbox.settled()
        [post] = stage.inbox.posts
        assert post.is_signed
        places = {end + part: "" for end in ("From", "To") for part in ("City", "State", "Zip", "Country")}
        assert post.form == places | {
            "MessageSid": message.sid, "SmsSid": message.sid, "SmsMessageSid": message.sid,
            "AccountSid": ACCOUNT, "From": ANNA, "To": SHOP, "Body": "bitte nicht mehr schreiben 🛑",
            "NumMedia": "0", "NumSegments": "1", "ApiVersion": "2010-04-01", "SmsStatus": "received",
        }  # fmt: skip

    play(story)


@pytest.mark.parametrize(
    ("answers", "opt_out_type", "texts", "blocked"),
    [
        (Answers.GATEWAY, None, 0, False),
        (Answers.TWILIO, "STOP", 1, True),
        (Answers.CARRIER, None, 1, True),
    ],
)
def test_who_answers_a_stop(answers, opt_out_type, texts, blocked):
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "stop")
        await stage.sandbox.settled()
        [post] = stage.inbox.posts
        assert post.form.get("OptOutType") == opt_out_type
        assert len(await _received(stage, ANNA)) == texts
        assert await _is_blocked(stage, ANNA, SHOP) == blocked

    play(story, answers=answers)


@pytest.mark.parametrize("answers", [Answers.TWILIO, Answers.CARRIER])
def test_a_confirmation_comes_only_when_something_changed(answers):
    async def story(stage: Stage) -> None:
        counts = []
        for body in ("START", "STOP", "STOP", "START", "START", "STOP"):
            stage.sandbox.phone_sends(ANNA, SHOP, body)
            counts.append(len(await _received(stage, ANNA)))
        assert counts == [0, 1, 1, 2, 2, 3]
        assert await _is_blocked(stage, ANNA, SHOP)

    play(story, answers=answers)


def test_help_is_answered_without_blocking():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "help")
        await stage.sandbox.settled()
        assert stage.inbox.posts[0].form["OptOutType"] == "HELP"
        assert len(await _received(stage, ANNA)) == 1
        assert not await _is_blocked(stage, ANNA, SHOP)

    play(story, answers=Answers.TWILIO)


def test_a_block_is_for_one_phone_and_one_sender():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        assert await _is_blocked(stage, ANNA, SHOP)
        assert not await _is_blocked(stage, ANNA, CLUB)
        assert not await _is_blocked(stage, BEN, SHOP)

    play(story, answers=Answers.TWILIO)


def test_a_block_is_for_a_whole_messaging_service():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        assert await _is_blocked(stage, ANNA, CLUB)
        stage.sandbox.phone_sends(ANNA, CLUB, "START")
        assert not await _is_blocked(stage, ANNA, SHOP)

    play(story, senders=tuple(Sender(n, Answers.TWILIO, service_sid=SERVICE) for n in (SHOP, CLUB)))


def test_senders_have_their_own_webhook_and_answerer():
    async def story(stage: Stage) -> None:
        status, _ = await stage.post(
            "/sandbox/senders", {"number": CLUB, "answers": "twilio", "webhook": f"{stage.inbox.url}/club"}
        )
        assert status == 201
        stage.sandbox.phone_sends(ANNA, CLUB, "STOP")
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        await stage.sandbox.settled()
        told = {post.url.removeprefix(stage.inbox.url): "OptOutType" in post.form for post in stage.inbox.posts}
        assert told == {"/club": True, "/inbound": False}

    play(story)


def test_a_refused_text_shows_on_the_screen_but_not_in_the_list():
    async def story(stage: Stage) -> None:
        stage.sandbox.phone_sends(ANNA, SHOP, "STOP")
        assert await _is_blocked(stage, ANNA, SHOP)
        shown = await stage.get(f"/sandbox/phones/{ANNA}")
        assert (shown[-1]["body"], shown[-1]["status"]) == ("Sale today", "refused")
        assert "Sale today" not in [text["body"] for text in await stage.get("/sandbox/messages")]

    play(story, answers=Answers.TWILIO)


async def _received(stage: Stage, phone: str) -> list[object]:
    texts = await stage.get(f"/sandbox/phones/{phone}")
    return [text for text in texts if text["direction"] == "outbound-reply"]


async def _is_blocked(stage: Stage, phone: str, sender: str) -> bool:
    try:
        await stage.carrier.send(text_to(phone, sender=sender))
    except OptedOutAtCarrier:
        return True
    return False

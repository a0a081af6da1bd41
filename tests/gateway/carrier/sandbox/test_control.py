"""The control endpoints and the page's answers."""

import pytest

from gateway.carrier.sandbox import Answers, Sender
from tests.gateway.carrier.stage import ANNA, BEN, SHOP, Stage, play, text_to


def test_faults_change_one_by_one():
    async def story(stage: Stage) -> None:
        status, faults = await stage.post("/sandbox/faults", {"rate_429": 0.5, "callbacks": False})
        assert (status, faults["rate_429"], faults["callbacks"]) == (200, 0.5, False)
        await stage.post("/sandbox/faults", {"list_lag": 2})
        faults = await stage.get("/sandbox/faults")
        assert (faults["rate_429"], faults["callbacks"], faults["list_lag"]) == (0.5, False, 2)

    play(story)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/sandbox/faults", {"latencyy": 1}, "latencyy"),
        ("/sandbox/faults", {"latency": "1"}, "latency"),
        ("/sandbox/faults", {"latency": -1}, "latency"),
        ("/sandbox/faults", {"latency": True}, "latency"),
        ("/sandbox/faults", {"callbacks": 1}, "callbacks"),
        ("/sandbox/faults", [1], "object"),
        ("/sandbox/senders", {}, "number"),
        ("/sandbox/senders", {"number": SHOP, "answers": "nobody"}, "nobody"),
        ("/sandbox/senders", {"number": SHOP, "colour": "red"}, "colour"),
        (f"/sandbox/phones/{ANNA}/send", {"to": SHOP}, "body"),
        (f"/sandbox/phones/{ANNA}/send", {"body": "hello"}, "sender"),
        (f"/sandbox/phones/{ANNA}/send", {"body": "hello", "to": "ACME"}, "name"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(path, body, named):
    async def story(stage: Stage) -> None:
        before = await stage.get("/sandbox/faults")
        status, answer = await stage.post(path, body)
        assert status == 400
        assert named in answer["error"]
        assert await stage.get("/sandbox/faults") == before
        assert await stage.get("/sandbox/messages") == []

    play(story)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", '{"latency": 0}', 200),
        ("application/json", "{", 400),
        ("text/plain", '{"latency": 0}', 415),
        ("application/x-www-form-urlencoded", "latency=0", 415),
    ],
)
def test_other_sites_pages_cannot_post(content_type, body, status):
    async def story(stage: Stage) -> None:
        headers = {"Content-Type": content_type}
        url = f"{stage.sandbox.url}/sandbox/faults"
        async with stage.http.post(url, data=body, headers=headers) as answer:
            assert answer.status == status

    play(story)


def test_a_phone_answers_whoever_texted_it_last():
    async def story(stage: Stage) -> None:
        await stage.carrier.send(text_to(ANNA, sender=SHOP))
        _, first = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": "who is this?"})
        await stage.carrier.send(text_to(ANNA, sender=BEN))
        _, second = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": "and this?"})
        _, third = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": "and still?"})
        assert [text["to"] for text in (first, second, third)] == [SHOP, BEN, BEN]
        _, named = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": "STOP", "to": SHOP})
        assert (named["to"], named["from"], named["body"]) == (SHOP, ANNA, "STOP")

    play(story)


def test_a_phone_that_got_nothing_yet_texts_the_first_sender():
    async def story(stage: Stage) -> None:
        _, text = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": "hello?"})
        assert text["to"] == SHOP

    play(story, senders=(Sender(SHOP, Answers.TWILIO), Sender(BEN)))


def test_screens_are_sent_only_when_something_changed():
    async def story(stage: Stage) -> None:
        first = await stage.get("/sandbox/screens")
        assert [phone["number"] for phone in first["phones"]] == [ANNA, BEN]
        assert first["campaign_url"] == "http://127.0.0.1:1/console"
        unchanged = f"{stage.sandbox.url}/sandbox/screens?after={first['version']}"
        async with stage.http.get(unchanged) as answer:
            assert answer.status == 204
        await stage.carrier.send(text_to(ANNA))
        async with stage.http.get(unchanged) as answer:
            [text] = (await answer.json())["phones"][0]["texts"]
        assert (text["body"], text["from"], text["status"]) == ("Sale today", SHOP, "delivered")

    play(story, phones=(ANNA, BEN), campaign_url="http://127.0.0.1:1/console")


def test_a_screen_shows_the_last_fifty_texts():
    async def story(stage: Stage) -> None:
        for number in range(51):
            await stage.carrier.send(text_to(ANNA, f"text {number}"))
        screens = await stage.get("/sandbox/screens")
        shown = [text["body"] for text in screens["phones"][0]["texts"]]
        assert (len(shown), shown[0], shown[-1]) == (50, "text 1", "text 50")

    play(story, phones=(ANNA,))


def test_status_counts_texts_and_webhooks_under_way():
    async def story(stage: Stage) -> None:
        await stage.carrier.send(text_to())
        stage.sandbox.phone_sends(ANNA, SHOP, "hello")
        assert await stage.get("/sandbox/status") in (
            {"messages": 2, "webhooks_under_way": 1},
            {"messages": 2, "webhooks_under_way": 0},
        )
        await stage.sandbox.settled()
        assert await stage.get("/sandbox/status") == {"messages": 2, "webhooks_under_way": 0}

    play(story)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/", "text/html"), ("/static/phones.js", "text/javascript"), ("/static/phones.css", "text/css")],
)
def test_pages_run_no_script_but_their_own(path, content_type):
    async def story(stage: Stage) -> None:
        async with stage.http.get(stage.sandbox.url + path) as answer:
            page = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
            assert (answer.status, answer.content_type) == (200, content_type)
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "innerHTML" not in page

    play(story)

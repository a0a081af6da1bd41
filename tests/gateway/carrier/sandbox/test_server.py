"""The sandbox as a process of its own."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from gateway.carrier import OutcomeUnknown
from gateway.carrier.sandbox import Faults, SandboxConfig, spawned_sandbox
from gateway.carrier.twilio import TwilioCarrier
from tests.gateway.carrier.stage import ACCOUNT, ANNA, SHOP, TOKEN, Stage, play, text_to


def test_a_process_of_its_own_carries_and_keeps_a_log(tmp_path):
    log = tmp_path / "accepted.jsonl"
    with spawned_sandbox(SandboxConfig(ACCOUNT, TOKEN, log_file=str(log))) as url:
        sent = asyncio.run(_send_and_list(url))
        [line] = log.read_text("utf-8").splitlines()
    entry = json.loads(line)
    assert (entry["sid"], entry["to"], entry["from"]) == (sent.sid, ANNA, SHOP)
    assert (entry["body"], entry["direction"]) == ("Grüße", "outbound-api")


async def _send_and_list(url: str):
    carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=url)
    before = datetime.now(UTC)
    sent = await carrier.send(text_to(body="Grüße"))
    assert [message.sid for message in await carrier.list_sent(ANNA, before)] == [sent.sid]
    await carrier.aclose()
    return sent


def test_a_port_in_use_is_told():
    with spawned_sandbox(SandboxConfig()) as url:
        taken = SandboxConfig(port=int(url.rpartition(":")[2]))
        with pytest.raises(RuntimeError, match="did not start"), spawned_sandbox(taken):
            pass


def test_the_log_holds_texts_whose_answer_was_lost_and_none_that_was_refused(tmp_path):
    log = tmp_path / "accepted.jsonl"

    async def story(stage: Stage) -> None:
        with pytest.raises(OutcomeUnknown):
            await stage.carrier.send(text_to(body="lost answer"))
        stage.sandbox.set_faults(lost_answers=0.0, rate_500=1.0, created_on_500=0.0)
        with pytest.raises(OutcomeUnknown):
            await stage.carrier.send(text_to(body="never accepted"))
        stage.sandbox.phone_sends(ANNA, SHOP, "inbound")

    play(story, log_file=str(log), faults=Faults(lost_answers=1.0))
    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [(entry["direction"], entry["body"]) for entry in entries] == [
        ("outbound-api", "lost answer"),
        ("inbound", "inbound"),
    ]

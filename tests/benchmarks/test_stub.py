"""The stub takes texts from the real SDK and counts them."""

import asyncio
from urllib.request import urlopen

from gateway.carrier import OutgoingText
from gateway.carrier.twilio import TwilioCarrier
from tests.benchmarks.stub import running_stub


def test_every_text_gets_a_sid_of_its_own_and_is_counted():
    async def send_many(url: str) -> set[str]:
        carrier = TwilioCarrier("AC1", "token", api_url=url)
        text = OutgoingText("+4915228817386", "Grüße 🛑 " * 100, "+18555550123")
        sent = await asyncio.gather(*(carrier.send(text) for _ in range(50)))
        await carrier.aclose()
        return {one.sid for one in sent}

    with running_stub() as url:
        assert len(asyncio.run(send_many(url))) == 50
        with urlopen(f"{url}/count") as answer:
            assert answer.read() == b"50"

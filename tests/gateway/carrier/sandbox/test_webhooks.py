"""How webhooks are delivered: retries, fragments, redirects, bounded concurrency."""

import asyncio

import pytest

from gateway.carrier.sandbox import SandboxConfig
from gateway.carrier.sandbox.webhooks import Lane, Postman
from tests.gateway.carrier.stage import ANNA, SHOP, TOKEN, Stage, play, running_inbox


@pytest.mark.parametrize(
    ("statuses", "retries", "posts", "delivered"),
    [
        ([200], 3, 1, True),
        ([204], 3, 1, True),
        ([503, 200], 3, 2, True),
        ([503, 500, 502, 200], 3, 4, True),
        ([503, 500, 502, 500, 200], 3, 4, False),
        ([503, 200], 0, 1, False),
        ([403, 200], 3, 1, False),
        ([302, 200], 3, 1, False),
    ],
)
def test_only_server_errors_are_tried_again(statuses, retries, posts, delivered):
    async def story() -> None:
        async with running_inbox() as inbox:
            inbox.statuses.extend(statuses)
            assert await _deliver(f"{inbox.url}/inbound", retries) == delivered
            assert len(inbox.posts) == posts
            assert len({post.signature for post in inbox.posts}) == 1

    asyncio.run(story())


def test_a_connection_that_fails_is_tried_again():
    async def story() -> None:
        attempts = 0

        async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal attempts
            attempts += 1
            writer.close()

        server = await asyncio.start_server(slam, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert not await _deliver(f"http://127.0.0.1:{port}/", retries=2)
        server.close()
        assert attempts == 3

    asyncio.run(story())


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://[broken"])
def test_a_url_that_is_none_is_given_up(url):
    assert not asyncio.run(_deliver(url, retries=0))


@pytest.mark.parametrize(
    ("configured", "requested"),
    [
        ("/inbound#rc=3&rp=ct,rt,5xx", "/inbound"),
        ("/inbound?a=1&b=%2F%20x#rc=1", "/inbound?a=1&b=%2F%20x"),
        ("/in%2Fbound?q=a+b", "/in%2Fbound?q=a+b"),
    ],
)
def test_what_is_signed_is_what_is_requested(configured, requested):
    async def story() -> None:
        async with running_inbox() as inbox:
            assert await _deliver(inbox.url + configured, retries=0)
            [post] = inbox.posts
            assert post.url == inbox.url + requested
            assert post.is_signed

    asyncio.run(story())


def test_a_text_that_nobody_took_is_marked():
    async def story(stage: Stage) -> None:
        stage.inbox.statuses.extend([500] * 4)
        stage.sandbox.phone_sends(ANNA, SHOP, "hello")
        stage.sandbox.phone_sends(ANNA, SHOP, "hello again")
        await stage.sandbox.settled()
        codes = [text["error_code"] for text in await stage.get(f"/sandbox/phones/{ANNA}")]
        assert sorted(codes, key=str) == [11200, None]

    play(story, webhook_concurrency=1)


def test_a_lane_works_on_so_many_jobs_at_once():
    running = most = done = 0

    async def job() -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1

    async def story() -> None:
        lane = Lane(workers=3)
        lane.start()
        for _ in range(10):
            lane.put(job)
        assert lane.unfinished == 10
        await lane.join()
        await lane.stop()
        assert lane.unfinished == 0

    asyncio.run(story())
    assert (most, done) == (3, 10)


def test_half_a_character_takes_no_worker_away():
    """JSON can carry a lone surrogate, which cannot be signed: that webhook is lost, the next one is not."""

    async def story(stage: Stage) -> None:
        for body in ("\ud83d", "whole"):
            status, _ = await stage.post(f"/sandbox/phones/{ANNA}/send", {"body": body, "to": SHOP})
            assert status == 201
        await stage.sandbox.settled()
        assert [post.form["Body"] for post in stage.inbox.posts] == ["whole"]

    play(story, webhook_concurrency=1)


async def _deliver(url: str, retries: int) -> bool:
    config = SandboxConfig(auth_token=TOKEN, webhook_retries=retries, retry_pause=0.0)
    postman = Postman(config)
    await postman.start()
    try:
        return await postman.deliver(url, {"Body": "STOP 🛑", "From": ANNA, "Empty": ""})
    finally:
        await postman.stop()

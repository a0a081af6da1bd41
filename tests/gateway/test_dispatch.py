import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import delivery, dispatch, links
from gateway.carrier import (
    CarrierError,
    ListedMessage,
    OptedOutAtCarrier,
    OutcomeUnknown,
    OutgoingText,
    RateLimited,
    Refused,
    Sent,
    Unreachable,
)
from gateway.db import Database
from gateway.dispatch import Dispatcher
from gateway.errors import DatabaseAway
from gateway.models import State
from gateway.pacing import Bucket
from gateway.settings import Settings
from tests.gateway.helpers import actions, opt_outs, queue, texts

SHE = "+4915735981001"


class Socket:
    """The carrier's end: raises or answers what the test lays down, keeps what came."""

    def __init__(self, *answers: CarrierError | str) -> None:
        self.answers = list(answers)
        self.came: list[OutgoingText] = []
        self.listed: list[ListedMessage] = []
        self.list_error: CarrierError | None = None

    async def send(self, text: OutgoingText) -> Sent:
        self.came.append(text)
        answer = self.answers.pop(0) if self.answers else f"SM{len(self.came):032x}"
        if isinstance(answer, CarrierError):
            raise answer
        return Sent(answer, "queued")

    async def list_sent(self, to: str, since: datetime) -> list[ListedMessage]:
        if self.list_error:
            raise self.list_error
        return [message for message in self.listed if message.to == to]

    async def list_received(self, since: datetime, until: datetime, to: str | None = None) -> list[ListedMessage]:
        return []

    async def aclose(self) -> None:
        pass


@pytest.fixture
def at() -> datetime:
    """The dispatcher reads the real clock."""
    return datetime.now(UTC)


@pytest.fixture
def sender(make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    return make_sender(make_program())


def add(db: Database, at: datetime, sender: int, **more: Any) -> int:
    return queue(db, at, program_id=1, sender_id=sender, number=SHE, **more)


def run(db: Database, socket: Socket, sender: int, step: str = "dispatch") -> Any:
    async def go() -> Any:
        dispatcher = Dispatcher(db, socket, db.settings, "w1")
        if step == "dispatch":
            return await dispatcher.dispatch(sender, None, seconds=1)
        return await getattr(dispatcher, step)()

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        ("SM1", State.SENT, None),
        (Refused(21211, "bad number"), State.FAILED, 21211),
        (OutcomeUnknown("HTTP 503"), State.UNKNOWN, None),
        (RateLimited(3), State.QUEUED, None),
        (Unreachable("refused"), State.QUEUED, None),
        (OptedOutAtCarrier(), State.FAILED, 21610),
    ],
)
def test_what_becomes_of_a_text(
    db: Database, at: datetime, sender: int, answer: CarrierError | str, state: State, code: int | None
) -> None:
    add(db, at, sender)
    socket = Socket(answer)
    assert run(db, socket, sender) is False
    (text,) = texts(db)
    assert (text.state, text.error_code, len(socket.came)) == (state, code, 1)
    assert bool(opt_outs(db)) is (code == 21610)


def test_a_429_waits_as_long_as_it_was_told(db: Database, at: datetime, sender: int) -> None:
    add(db, at, sender)
    run(db, Socket(RateLimited(30)), sender)
    (text,) = texts(db)
    assert timedelta(seconds=29) < text.send_after - at < timedelta(seconds=40)
    socket = Socket()
    run(db, socket, sender)
    assert socket.came == []


def test_what_is_sent(db: Database, at: datetime, sender: int) -> None:
    message = add(db, at, sender, channel="whatsapp", body="Hallo")
    socket = Socket()
    run(db, socket, sender)
    (text,) = socket.came
    assert (text.to, text.sender) == (f"whatsapp:{SHE}", "whatsapp:+4915735980000")
    assert text.body == "Hallo"
    assert text.status_callback == f"https://optout.example/twilio/status?m={message}"
    assert text.validity_seconds == 3600


def test_a_reply_is_not_delivered_after_its_deadline(db: Database, at: datetime, sender: int) -> None:
    """P4 reaches into the carrier's queue."""
    add(db, at, sender, category="reply", kind="help", expires_at=at + timedelta(minutes=5))
    socket = Socket()
    run(db, socket, sender, "answer")
    assert 280 < (socket.came[0].validity_seconds or 0) <= 300


def test_a_messaging_service_chooses_the_number(
    db: Database, at: datetime, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> None:
    service = make_sender(make_program(), messaging_service_sid="MG1")
    add(db, at, service)
    socket = Socket()
    run(db, socket, service)
    assert (socket.came[0].sender, socket.came[0].messaging_service_sid) == (None, "MG1")


def test_a_claim_that_is_too_old_is_not_sent(
    db: Database, at: datetime, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept (a paused machine) may meet somebody who is settling its texts."""
    add(db, at, sender)
    monkeypatch.setattr(Settings, "send_within", -1)
    socket = Socket()
    run(db, socket, sender)
    assert socket.came == []
    assert texts(db)[0].state == State.SENDING


def test_a_reply_whose_time_is_over_is_dropped(db: Database, at: datetime, sender: int) -> None:
    """P4: claimed in time, but its turn came too late."""
    add(db, at, sender, category="reply", kind="help", expires_at=at + timedelta(seconds=1))
    socket = Socket()

    async def late() -> None:
        dispatcher = Dispatcher(db, socket, db.settings, "w1")
        (permit,) = await dispatcher._claim(None)
        await asyncio.sleep(max(0.0, (at + timedelta(seconds=1.05) - datetime.now(UTC)).total_seconds()))
        under_way: set[asyncio.Task[None]] = set()
        await dispatcher._start(permit, under_way)
        await dispatcher._finish(under_way)

    asyncio.run(late())
    assert socket.came == []
    assert texts(db)[0].state == State.CANCELLED


def test_a_known_sid_is_kept_while_the_database_is_away(
    db: Database, at: datetime, sender: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "UNREACHABLE_PAUSE", 0.01)
    add(db, at, sender)
    real, failures = delivery.settle, iter([DatabaseAway("away"), DatabaseAway("away")])

    def settle(*args: Any) -> None:
        error = next(failures, None)
        if error:
            raise error
        real(*args)

    monkeypatch.setattr(delivery, "settle", settle)
    run(db, Socket("SM1"), sender)
    assert (texts(db)[0].state, texts(db)[0].sid) == (State.SENT, "SM1")


def test_a_long_text_of_a_slow_sender_leaves(db: Database, at: datetime, sender: int) -> None:
    """24 segments at 10 a second: it leaves at once, what comes after it waits."""
    for _ in range(2):
        add(db, at, sender, body="ü€" * 700)
    socket = Socket()

    async def go() -> None:
        await Dispatcher(db, socket, db.settings, "w1").dispatch(sender, 10.0, seconds=0.1)

    asyncio.run(go())
    assert socket.came
    assert texts(db)[0].state == State.SENT


class TestReconcile:
    @pytest.fixture
    def doubtful(self, db: Database, at: datetime, sender: int) -> Any:
        """A text with a link whose outcome is unknown."""
        token = links.new_token()
        link = links.short_link(token, link_url=None, public_url=db.settings.public_url)
        add(db, at, sender, body=links.append("Hi", link, "en"), link_token=token)
        run(db, Socket(OutcomeUnknown("cut")), sender)
        return texts(db)[0]

    def listed(self, body: str, at: datetime, sid: str = "SM9", status: str = "delivered") -> ListedMessage:
        return ListedMessage(sid, SHE, "+4915735980000", body, status, None, at, "outbound-api")

    def test_listed_is_adopted(self, db: Database, at: datetime, sender: int, doubtful: Any) -> None:
        socket = Socket()
        socket.listed = [self.listed("Hello", at, "SM8"), self.listed(doubtful.body, at)]
        assert run(db, socket, sender, "reconcile") == 1
        assert (texts(db)[0].state, texts(db)[0].sid) == (State.DELIVERED, "SM9")
        assert socket.came == []

    def test_on_another_channel_it_is_listed_under_that(self, db: Database, at: datetime, sender: int) -> None:
        add(db, at, sender, channel="whatsapp", body="Hi")
        run(db, Socket(OutcomeUnknown("cut")), sender)
        socket = Socket()
        listed = self.listed("Hi", at)
        socket.listed = [dataclasses.replace(listed, to=f"whatsapp:{SHE}")]
        run(db, socket, sender, "reconcile")
        assert texts(db)[0].sid == "SM9"

    def test_another_texts_link_is_not_ours(self, db: Database, at: datetime, sender: int, doubtful: Any) -> None:
        other = doubtful.body.replace(doubtful.link_token, links.new_token())
        socket = Socket()
        socket.listed = [self.listed(other, at)]
        run(db, socket, sender, "reconcile")
        assert texts(db)[0].state == State.UNKNOWN

    def test_not_listed_waits_for_the_grace_and_goes_back(
        self, db: Database, at: datetime, sender: int, doubtful: Any
    ) -> None:
        run(db, Socket(), sender, "reconcile")
        assert texts(db)[0].state == State.UNKNOWN
        db.settings.doubt_grace = 0.0
        run(db, Socket(), sender, "reconcile")
        assert texts(db)[0].state == State.QUEUED
        assert actions(db)[-1] == "message.requeued"

    def test_without_the_list_nothing_is_decided(
        self, db: Database, at: datetime, sender: int, doubtful: Any
    ) -> None:
        db.settings.doubt_grace = 0.0
        socket = Socket()
        socket.list_error = OutcomeUnknown("HTTP 500")
        run(db, socket, sender, "reconcile")
        assert texts(db)[0].state == State.UNKNOWN

    def test_without_a_link_by_the_same_body_and_time(self, db: Database, at: datetime, sender: int) -> None:
        """Two equal texts, one listed twice as old: each message settles one text at most."""
        for _ in range(2):
            add(db, at, sender, body="Same")
        run(db, Socket(OutcomeUnknown("cut"), OutcomeUnknown("cut")), sender)
        socket = Socket()
        socket.listed = [
            self.listed("Same", at - timedelta(minutes=5), "SM7", "sent"),
            self.listed("Same", at, "SM8", "sent"),
        ]
        run(db, socket, sender, "reconcile")
        assert sorted(str(t.sid) for t in texts(db)) == ["None", "SM8"]


class TestPacing:
    def test_the_rate_is_kept(self) -> None:
        async def take() -> float:
            bucket = Bucket(100)
            loop = asyncio.get_running_loop()
            for _ in range(100):
                await bucket.take(1)
            start = loop.time()
            for _ in range(20):
                await bucket.take(2)
            return loop.time() - start

        # 40 segments at 100 a second; a slow machine only makes it longer.
        assert asyncio.run(take()) >= 0.35

    def test_without_a_rate_at_once(self) -> None:
        async def take() -> float:
            bucket, loop = Bucket(None), asyncio.get_running_loop()
            start = loop.time()
            for _ in range(1000):
                await bucket.take(10)
            return loop.time() - start

        assert asyncio.run(take()) < 1

    @pytest.mark.parametrize(("rate", "claimed"), [(None, 50), (1000.0, 50), (20.0, 10), (1.0, 1), (0.1, 1)])
    def test_no_more_is_claimed_than_leaves_in_half_a_second(
        self, db: Database, sender: int, rate: float | None, claimed: int
    ) -> None:
        async def batch() -> int:
            dispatcher = Dispatcher(db, Socket(), db.settings, "w1")
            dispatcher._buckets[sender] = Bucket(rate)
            return dispatcher._batch(sender)

        assert asyncio.run(batch()) == claimed

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from gateway import delivery, jobs, outbox
from gateway.db import Database, Transaction
from gateway.delivery import RANK, TWILIO_STATES, Settled
from gateway.models import State
from tests.gateway.helpers import actions, opt_outs, queue, text_in, texts

SHE = "+4915735981001"
SID = "SM" + "1" * 32


@pytest.fixture
def sender(make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    return make_sender(make_program())


@pytest.fixture
def permit(db: Database, now: datetime, sender: int) -> outbox.Permit:
    """A text that has just been claimed."""
    queue(db, now, program_id=1, sender_id=sender, number=SHE)
    (found,) = db.writer.run(outbox.claim, sender_id=sender, owner="w1", now=now, limit=1)
    return found


def status(db: Database, permit: outbox.Permit, word: str, now: datetime, code: int | None = None) -> bool:
    return db.writer.run(delivery.record_status, permit.id, SID, word, code, now)


def settle(db: Database, outcome: Settled, now: datetime) -> None:
    db.writer.run(delivery.settle, [outcome], now)


class TestCallbacks:
    @pytest.mark.parametrize("order", list(itertools.permutations(["queued", "sent", "delivered"])))
    def test_any_order_ends_the_same(
        self, db: Database, now: datetime, permit: outbox.Permit, order: tuple[str, ...]
    ) -> None:
        ranks = []
        for word in (*order, *order):
            status(db, permit, word, now)
            ranks.append(RANK[texts(db)[0].state])
        assert ranks == sorted(ranks)
        assert (texts(db)[0].state, texts(db)[0].sid) == (State.DELIVERED, SID)

    @pytest.mark.parametrize("word", sorted(TWILIO_STATES))
    def test_each_word_once(self, db: Database, now: datetime, permit: outbox.Permit, word: str) -> None:
        assert status(db, permit, word, now)
        assert not status(db, permit, word, now)
        assert texts(db)[0].state == TWILIO_STATES[word]
        assert actions(db) == [f"message.{TWILIO_STATES[word]}"]

    def test_a_word_twilio_adds_later_is_no_news(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        assert not status(db, permit, "partially_delivered", now)
        assert texts(db)[0].state == State.SENDING

    def test_earlier_than_our_own_commit(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        status(db, permit, "delivered", now)
        settle(db, Settled(permit, State.SENT, sid=SID), now)
        assert (texts(db)[0].state, texts(db)[0].sid) == (State.DELIVERED, SID)

    def test_settles_a_text_whose_answer_was_lost(
        self, db: Database, now: datetime, permit: outbox.Permit
    ) -> None:
        settle(db, Settled(permit, State.UNKNOWN), now)
        assert texts(db)[0].state == State.UNKNOWN
        assert status(db, permit, "sent", now)
        assert texts(db)[0].state == State.SENT
        assert not db.writer.run(outbox.requeue, permit.id, permit.claimed_at, now=now, not_before=now, why="?")

    def test_another_texts_sid_is_refused(
        self, db: Database, now: datetime, permit: outbox.Permit, sender: int
    ) -> None:
        queue(db, now, program_id=1, sender_id=sender, number=SHE)
        (other,) = db.writer.run(outbox.claim, sender_id=sender, owner="w1", now=now, limit=1)
        assert status(db, permit, "sent", now)
        assert not db.writer.run(delivery.record_status, permit.id, "SM" + "2" * 32, "delivered", None, now)
        assert db.writer.run(delivery.record_status, other.id, "SM" + "2" * 32, "delivered", None, now)

    def test_21610_opts_out_and_suppresses_what_waits(
        self, db: Database, now: datetime, permit: outbox.Permit, sender: int
    ) -> None:
        queue(db, now, program_id=1, sender_id=sender, number=SHE)
        status(db, permit, "failed", now, 21610)
        assert [t.state for t in texts(db)] == [State.FAILED, State.SUPPRESSED]
        assert opt_outs(db)[0].source == "carrier"


class TestSettle:
    def test_several_outcomes_at_once(self, db: Database, now: datetime, sender: int) -> None:
        for n in range(4):
            queue(db, now, program_id=1, sender_id=sender, number=f"+4915735981{n:03}")
        permits = db.writer.run(outbox.claim, sender_id=sender, owner="w1", now=now, limit=9)
        outcomes = [
            Settled(permits[0], State.SENT, sid="SM0"),
            Settled(permits[1], State.UNKNOWN),
            Settled(permits[2], State.FAILED, error_code=30007),
            Settled(permits[3], State.FAILED, error_code=21610),
        ]
        db.writer.run(delivery.settle, outcomes, now)
        found = [(t.state, t.sid, t.error_code) for t in texts(db)]
        assert found == [
            (State.SENT, "SM0", None),
            (State.UNKNOWN, None, None),
            (State.FAILED, None, 30007),
            (State.FAILED, None, 21610),
        ]
        assert [row.number for row in opt_outs(db)] == [permits[3].number]


class TestInDoubt:
    def found(self, db: Database, now: datetime) -> list[int]:
        rows = db.reading(delivery.in_doubt, now, db.settings)
        return [row.id for row in rows]

    def test_a_living_workers_text_is_not(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        db.writer.run(jobs.beat, "w1", now)
        assert self.found(db, now) == []
        assert self.found(db, now + timedelta(seconds=2.4)) == []

    def test_a_dead_workers_text_is(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        db.writer.run(jobs.beat, "w1", now)
        assert self.found(db, now + timedelta(seconds=2.5)) == [permit.id]

    def test_a_worker_that_left_is_dead_at_once(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        db.writer.run(jobs.beat, "w1", now)
        db.writer.run(jobs.leave, "w1")
        assert self.found(db, now) == [permit.id]

    def test_so_is_a_text_held_past_the_lease(self, db: Database, now: datetime, permit: outbox.Permit) -> None:
        for late, expected in ((timedelta(seconds=35), []), (timedelta(seconds=36), [permit.id])):
            db.writer.run(jobs.beat, "w1", now + late)
            assert self.found(db, now + late) == expected

    def test_so_is_an_unknown_outcome_whoever_lives(
        self, db: Database, now: datetime, permit: outbox.Permit
    ) -> None:
        db.writer.run(jobs.beat, "w1", now)
        settle(db, Settled(permit, State.UNKNOWN), now)
        assert self.found(db, now) == [permit.id]


def test_residue_is_counted_in_the_opt_outs_event(
    db: Database, now: datetime, permit: outbox.Permit, sender: int
) -> None:
    text_in(db, SHE, "STOP", now)
    recorded = db.reading(_recorded)
    assert (recorded["residue"], recorded["suppressed"]) == (1, 0)


def _recorded(connection: object) -> dict[str, int]:
    import sqlalchemy as sa

    from gateway.models import AuditEvent

    events = AuditEvent.__table__  # type: ignore[attr-defined]
    query = sa.select(events.c.details).where(events.c.action == "opt_out.recorded")
    return dict(connection.execute(query).scalar_one())  # type: ignore[attr-defined]


def test_ranks_cover_every_state() -> None:
    assert set(RANK) == set(State)


def test_a_settled_text_stays_settled(db: Database, now: datetime, permit: outbox.Permit) -> None:
    def never(tx: Transaction) -> bool:
        return delivery.record_status(tx, permit.id, SID, "sent", None, now)

    settle(db, Settled(permit, State.FAILED, error_code=30007), now)
    assert not db.writer.run(never)
    assert (texts(db)[0].state, texts(db)[0].error_code) == (State.FAILED, 30007)

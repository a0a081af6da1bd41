from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from gateway import campaigns, outbox
from gateway.db import Database
from gateway.models import AuditEvent, Category, Scope, Source, State
from gateway.optouts import Signal, record
from tests.gateway.helpers import actions, queue, rows, text_in, texts

SHE = "+4915735981001"


@pytest.fixture
def program(make_program: Callable[..., int]) -> int:
    return make_program()


@pytest.fixture
def sender(program: int, make_sender: Callable[..., int]) -> int:
    return make_sender(program)


def claim(db: Database, sender_id: int | None, now: datetime, limit: int = 10) -> list[outbox.Permit]:
    return db.writer.run(outbox.claim, sender_id=sender_id, owner="w1", now=now, limit=limit)


class TestClaim:
    def test_due_texts_of_the_sender_in_order(
        self, db: Database, now: datetime, program: int, sender: int, make_sender: Callable[..., int]
    ) -> None:
        other = make_sender(program, "+4915735980001")
        first = queue(db, now, program_id=program, sender_id=sender, number=SHE)
        queue(db, now, program_id=program, sender_id=other, number=SHE)
        later = queue(
            db, now, program_id=program, sender_id=sender, number=SHE, send_after=now + timedelta(seconds=1)
        )
        assert [p.id for p in claim(db, sender, now)] == [first]
        assert [p.id for p in claim(db, sender, now + timedelta(seconds=1))] == [later]
        assert claim(db, sender, now + timedelta(days=1)) == []

    def test_writes_the_row_before_anything_is_sent(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        (permit,) = claim(db, sender, now)
        (text,) = texts(db)
        assert (text.state, text.claimed_by, text.claimed_at, text.attempts) == ("sending", "w1", now, 1)
        assert (permit.number, permit.sender, permit.body) == (SHE, "+4915735980000", "Hello")

    def test_a_row_that_escaped_the_screening_is_suppressed_here(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        """The fence itself: nobody but it stands between this row and the carrier."""
        signal = Signal(at=now, source=Source.REPLY, cause="c", rule="r")
        db.writer.run(record, SHE, Scope.MARKETING, signal, program_id=program)
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        assert claim(db, sender, now) == []
        assert [t.state for t in texts(db)] == [State.SUPPRESSED]
        assert actions(db)[-1] == "message.suppressed"

    def test_two_workers_never_hold_the_same_text(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        values = [
            outbox.row(program_id=program, sender_id=sender, number=SHE, body="x", now=now, kind="campaign",
                       category=Category.MARKETING)
            for _ in range(200)
        ]  # fmt: skip
        db.writer.run(outbox.enqueue_screened, values)
        other = Database(db.settings)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(claim, side, sender, now, 7) for side in (db, other) * 20]
            ids = [permit.id for call in calls for permit in call.result()]
        other.close()
        assert len(ids) == len(set(ids)) == 200


class TestReplies:
    def test_a_lane_of_their_own(self, db: Database, now: datetime, program: int, sender: int) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        text_in(db, SHE, "STOP", now)
        assert claim(db, sender, now) == []
        assert len(claim(db, None, now)) == 1

    def test_too_late_is_dropped_and_logged(self, db: Database, now: datetime, sender: int) -> None:
        """P4: within 5 minutes or never."""
        text_in(db, SHE, "STOP", now)
        late = now + timedelta(minutes=5)
        assert db.reading(outbox.replies_waiting, late - timedelta(seconds=1)) == (True, False)
        assert db.reading(outbox.replies_waiting, late) == (False, True)
        assert claim(db, None, late) == []
        assert db.writer.run(outbox.drop_expired, late) == 1
        assert [t.state for t in texts(db)] == [State.CANCELLED]
        assert actions(db)[-1] == "reply.dropped"
        assert db.writer.run(outbox.drop_expired, late) == 0


class TestRequeue:
    def requeue(self, db: Database, permit: outbox.Permit, now: datetime) -> bool:
        return db.writer.run(
            outbox.requeue, permit.id, permit.claimed_at, now=permit.claimed_at, not_before=now, why="429"
        )

    def test_goes_back_for_later(self, db: Database, now: datetime, program: int, sender: int) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        (permit,) = claim(db, sender, now)
        assert self.requeue(db, permit, now + timedelta(seconds=3))
        # The event is of now, not of the time the text waits for.
        told = rows(db, AuditEvent)[-1]
        assert (told.at, told.details["attempts"]) == (now, 1)
        assert claim(db, sender, now + timedelta(seconds=2)) == []
        (again,) = claim(db, sender, now + timedelta(seconds=3))
        assert again.id == permit.id
        assert texts(db)[0].attempts == 2

    def test_suppressed_when_she_left_meanwhile(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        (permit,) = claim(db, sender, now)
        text_in(db, SHE, "STOP", now)
        assert self.requeue(db, permit, now)
        assert texts(db, kind="campaign")[0].state == State.SUPPRESSED
        assert claim(db, sender, now) == []

    def test_cancelled_when_its_campaign_was(self, db: Database, now: datetime, program: int, sender: int) -> None:
        campaign = db.writer.run(
            campaigns.create, program_id=program, sender_id=sender, name="c", text="x", created_by="t", now=now
        )
        queue(db, now, program_id=program, sender_id=sender, number=SHE, campaign_id=campaign)
        (permit,) = claim(db, sender, now)
        db.writer.run(campaigns.add_recipients, campaign, [SHE], now)
        db.writer.run(campaigns.start, campaign, now)
        db.writer.run(campaigns.cancel, campaign, now)
        assert self.requeue(db, permit, now)
        assert texts(db)[0].state == State.CANCELLED
        assert actions(db)[-1] == "message.cancelled"

    def test_not_when_the_row_has_moved_on(self, db: Database, now: datetime, program: int, sender: int) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        (permit,) = claim(db, sender, now)
        assert self.requeue(db, permit, now)
        claim(db, sender, now + timedelta(seconds=1))
        assert not self.requeue(db, permit, now)
        assert texts(db)[0].state == State.SENDING

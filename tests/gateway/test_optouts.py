import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from gateway.db import Database, Transaction
from gateway.models import Category, Scope, Source, State
from gateway.optouts import Signal, is_out, lift, record
from tests.gateway.helpers import actions, opt_outs, queue, texts

SHE = "+4915735981001"
OTHER = "+4915735981002"


@pytest.fixture
def programs(make_program: Callable[..., int]) -> tuple[int, int]:
    return make_program("Acme"), make_program("Other")


def signal(at: datetime, cause: str = "inbound:SM1") -> Signal:
    return Signal(at=at, source=Source.REPLY, cause=cause, rule="keyword:en:stop", pack_version="p", country="DE")


@pytest.mark.parametrize(
    ("scope", "own_marketing", "other_marketing", "informational"),
    [
        (Scope.PROGRAM, True, False, False),
        (Scope.MARKETING, True, True, False),
        (Scope.ALL, True, True, True),
    ],
)
def test_how_far_a_scope_reaches(
    db: Database,
    now: datetime,
    programs: tuple[int, int],
    scope: Scope,
    own_marketing: bool,
    other_marketing: bool,
    informational: bool,
) -> None:
    own, other = programs
    db.writer.run(record, SHE, scope, signal(now), program_id=own)
    assert db.reading(is_out, SHE, Category.MARKETING, own) is own_marketing
    assert db.reading(is_out, SHE, Category.MARKETING, other) is other_marketing
    assert db.reading(is_out, SHE, Category.INFORMATIONAL, own) is informational
    assert db.reading(is_out, SHE, Category.REPLY, own) is False
    assert db.reading(is_out, OTHER, Category.MARKETING, own) is False


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.SENDING, State.SENT])
def test_what_waits_in_scope_is_suppressed(
    db: Database,
    now: datetime,
    programs: tuple[int, int],
    make_sender: Callable[..., int],
    scope: Scope,
    category: Category,
    own: bool,
    state: State,
) -> None:
    """A text is suppressed exactly when it still waits and `is_out` says that it would be stopped."""
    sender = make_sender(programs[0])
    program = programs[0] if own else programs[1]
    queue(db, now, program_id=program, sender_id=sender, number=SHE, category=category)
    queue(db, now, program_id=program, sender_id=sender, number=OTHER, category=category)
    db.writer.run(
        lambda tx: tx.connection.exec_driver_sql(f"UPDATE outbound_messages SET state = '{state.value}'")
    )
    recorded = db.writer.run(record, SHE, scope, signal(now), program_id=programs[0])
    stopped = db.reading(is_out, SHE, category, program)
    waited = state in (State.QUEUED, State.HELD)
    assert recorded.suppressed == int(stopped and waited)
    assert recorded.residue == int(stopped and state is State.SENDING)
    hers, others = texts(db)
    assert hers.state == (State.SUPPRESSED if stopped and waited else state)
    assert others.state == state


def test_again_is_an_event_and_no_second_row(db: Database, now: datetime, programs: tuple[int, int]) -> None:
    first = db.writer.run(record, SHE, Scope.MARKETING, signal(now), program_id=programs[0])
    for scope in (Scope.MARKETING, Scope.PROGRAM):
        again = db.writer.run(record, SHE, scope, signal(now), program_id=programs[0])
        assert (again.is_new, again.id) == (False, first.id)
    assert len(opt_outs(db)) == 1
    assert actions(db) == ["opt_out.recorded", "opt_out.repeated", "opt_out.repeated"]


def test_a_wider_wish_is_a_new_opt_out(db: Database, now: datetime, programs: tuple[int, int]) -> None:
    for scope in (Scope.PROGRAM, Scope.MARKETING, Scope.ALL):
        assert db.writer.run(record, SHE, scope, signal(now), program_id=programs[0]).is_new


def test_two_at_the_same_moment_leave_one_row(settings: object, db: Database, now: datetime) -> None:
    """Two processes: two databases objects, each with its own connections."""
    other = Database(db.settings)
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(10):
            number = f"+49157359820{round_:02}"
            calls = [
                pool.submit(side.writer.run, record, number, Scope.MARKETING, signal(now))
                for side in (db, other) * 4
            ]
            results = [call.result() for call in calls]
            assert sum(result.is_new for result in results) == 1
            assert len({result.id for result in results}) == 1
    other.close()
    assert len(opt_outs(db)) == 10


class TestLift:
    def test_only_a_newer_signal_opens(self, db: Database, now: datetime, programs: tuple[int, int]) -> None:
        db.writer.run(record, SHE, Scope.MARKETING, signal(now), program_id=programs[0])
        for age in (timedelta(seconds=1), timedelta(0)):
            assert db.writer.run(lift, SHE, signal(now - age), program_id=programs[0]) == []
        assert db.reading(is_out, SHE, Category.MARKETING, programs[0])
        later = signal(now + timedelta(microseconds=1), "inbound:SM2")
        assert len(db.writer.run(lift, SHE, later, program_id=programs[0])) == 1
        assert not db.reading(is_out, SHE, Category.MARKETING, programs[0])
        assert actions(db) == ["opt_out.recorded", "opt_in.ignored", "opt_in.ignored", "opt_out.lifted"]
        (row,) = opt_outs(db)
        assert (row.lifted_at, row.lifted_by) == (now + timedelta(microseconds=1), "inbound:SM2")

    def test_a_repeated_stop_is_the_newest_word(
        self, db: Database, now: datetime, programs: tuple[int, int]
    ) -> None:
        """P7: STOP, a START that is found late, STOP again before it is found."""
        for minute in (0, 10):
            at = now + timedelta(minutes=minute)
            db.writer.run(record, SHE, Scope.MARKETING, signal(at), program_id=programs[0])
        late = signal(now + timedelta(minutes=5), "inbound:SM2")
        assert db.writer.run(lift, SHE, late, program_id=programs[0]) == []
        assert db.reading(is_out, SHE, Category.MARKETING, programs[0])

    def test_a_stop_while_a_start_is_being_committed(
        self, db: Database, now: datetime, programs: tuple[int, int]
    ) -> None:
        """Two processes: the STOP must not lean on a row that is being closed under it."""
        db.writer.run(record, SHE, Scope.MARKETING, signal(now), program_id=programs[0])
        other, lifted, go = Database(db.settings), threading.Event(), threading.Event()

        def open_slowly(tx: Transaction) -> None:
            lift(tx, SHE, signal(now + timedelta(seconds=1), "inbound:SM2"), program_id=programs[0])
            lifted.set()
            go.wait(10)

        with ThreadPoolExecutor(2) as pool:
            start = pool.submit(other.writer.run, open_slowly)
            assert lifted.wait(10)
            newer = signal(now + timedelta(seconds=2), "inbound:SM3")
            stop = pool.submit(db.writer.run, record, SHE, Scope.MARKETING, newer, program_id=programs[0])
            time.sleep(0.2)
            go.set()
            start.result()
            assert stop.result().is_new
        other.close()
        assert db.reading(is_out, SHE, Category.MARKETING, programs[0])

    def test_another_programs_own_opt_out_stays(
        self, db: Database, now: datetime, programs: tuple[int, int]
    ) -> None:
        for program in programs:
            db.writer.run(record, SHE, Scope.PROGRAM, signal(now), program_id=program)
        db.writer.run(lift, SHE, signal(now + timedelta(seconds=1)), program_id=programs[0])
        assert not db.reading(is_out, SHE, Category.MARKETING, programs[0])
        assert db.reading(is_out, SHE, Category.MARKETING, programs[1])

    def test_after_it_a_new_stop_is_a_new_fact(
        self, db: Database, now: datetime, programs: tuple[int, int]
    ) -> None:
        for second in range(3):
            at = now + timedelta(seconds=2 * second)
            assert db.writer.run(record, SHE, Scope.MARKETING, signal(at), program_id=programs[0]).is_new
            db.writer.run(lift, SHE, signal(at + timedelta(seconds=1)), program_id=programs[0])
        assert [row.since for row in opt_outs(db)] == [now + timedelta(seconds=s) for s in (0, 2, 4)]

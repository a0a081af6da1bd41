import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from gateway.db import Database
from gateway.inbound import Arrival, Outcome, outcomes, receive, receive_all
from gateway.models import Category, OptOut, Scope, State
from gateway.optouts import is_out
from tests.gateway.helpers import (
    ACCOUNT,
    actions,
    inbounds,
    incoming,
    opt_outs,
    queue,
    rows,
    sid,
    text_in,
    texts,
)

SHE = "+4915735981001"
AMERICAN = "+12125550142"
TOLL_FREE = "+18005550199"


@pytest.fixture
def program(make_program: Callable[..., int]) -> int:
    return make_program("Acme", advertised="KLIKSA")


@pytest.fixture
def sender(program: int, make_sender: Callable[..., int]) -> int:
    return make_sender(program)


@pytest.fixture(autouse=True)
def _ready(sender: int) -> None:
    """Every text here arrives at a known sender unless a test says otherwise."""


class TestOptOut:
    @pytest.mark.parametrize(
        "body", ["STOP", "stpo!!", "  Stop  ", "abmelden", "STOPP", "S T O P", "🛑", "“stop”"]
    )
    def test_many_words_one_meaning(self, db: Database, now: datetime, program: int, body: str) -> None:
        assert text_in(db, SHE, body, now) is Outcome.OPTED_OUT
        assert db.reading(is_out, SHE, Category.MARKETING, program)
        (confirmation,) = texts(db)
        assert (confirmation.kind, confirmation.category, confirmation.number) == ("confirmation", "reply", SHE)
        assert "Acme" in confirmation.body
        assert "START" in confirmation.body
        assert confirmation.expires_at == now + timedelta(minutes=5)

    def test_keeps_all_that_the_decision_came_from(self, db: Database, now: datetime, program: int) -> None:
        text_in(db, SHE, "abmelden", now)
        (heard,) = inbounds(db)
        (row,) = opt_outs(db)
        assert (heard.intent, heard.certainty, heard.language, heard.country) == ("opt_out", "certain", "de", "DE")
        assert heard.rule == row.rule
        assert heard.rule.startswith("keyword:de:")
        assert heard.vocabulary_version == row.vocabulary_version != ""
        assert heard.pack_version == row.pack_version != ""
        assert (row.cause, row.source, row.since) == (f"inbound:{heard.message_sid}", "reply", now)
        assert (row.scope, row.heard_by_program_id) == ("marketing", program)

    def test_her_language(self, db: Database, now: datetime) -> None:
        text_in(db, SHE, "STOP", now)
        text_in(db, AMERICAN, "STOP", now)
        text_in(db, "+33612345678", "ARRET", now)
        german, english, french = texts(db)
        assert "abgemeldet" in german.body
        assert "abgemeldet" not in english.body
        assert french.body != english.body

    def test_stopall_reaches_everything(self, db: Database, now: datetime, program: int) -> None:
        text_in(db, SHE, "STOPALL", now)
        assert db.reading(is_out, SHE, Category.INFORMATIONAL, program)

    def test_the_senders_number_never_one_quoted(self, db: Database, now: datetime, program: int) -> None:
        """P5."""
        text_in(db, SHE, "STOP\n\n+4915735981002", now)
        text_in(db, SHE, "STOP", now)
        assert {row.number for row in rows(db, OptOut)} == {SHE}

    def test_already_out_is_recorded_and_not_confirmed_again(self, db: Database, now: datetime) -> None:
        text_in(db, SHE, "STOP", now)
        assert text_in(db, SHE, "STOP!", now + timedelta(minutes=1)) is Outcome.ALREADY_OUT
        assert [t.kind for t in texts(db)] == ["confirmation"]
        assert inbounds(db)[1].outcome == "already_out"

    def test_waiting_texts_are_suppressed_with_it(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE)
        text_in(db, SHE, "STOP", now)
        assert [t.state for t in texts(db, kind="campaign")] == [State.SUPPRESSED]

    def test_only_the_program_where_the_region_says_so(
        self, db: Database, now: datetime, program: int, make_program: Callable[..., int]
    ) -> None:
        other = make_program("Other")
        text_in(db, SHE, "KLIKSA STOP", now)
        assert opt_outs(db)[0].scope == Scope.PROGRAM
        assert db.reading(is_out, SHE, Category.MARKETING, program)
        assert not db.reading(is_out, SHE, Category.MARKETING, other)


class TestDuplicates:
    def test_the_same_sid_changes_nothing(self, db: Database, now: datetime) -> None:
        text = incoming(SHE, "STOP")
        assert db.writer.run(receive, text, ACCOUNT, now) is Outcome.OPTED_OUT
        before = actions(db)
        assert db.writer.run(receive, text, ACCOUNT, now) is Outcome.DUPLICATE
        assert (actions(db), len(texts(db)), len(inbounds(db))) == (before, 1, 1)

    def test_two_copies_at_once_in_two_processes(self, db: Database, now: datetime) -> None:
        other = Database(db.settings)
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(10):
                text = incoming(f"+49157359820{round_:02}", "STOP")
                calls = [pool.submit(s.writer.run, receive, text, ACCOUNT, now) for s in (db, other) * 4]
                outcomes = [call.result() for call in calls]
                assert sorted(set(outcomes)) == [Outcome.DUPLICATE, Outcome.OPTED_OUT]
                assert outcomes.count(Outcome.OPTED_OUT) == 1
        other.close()
        assert len(texts(db)) == len(opt_outs(db)) == len(inbounds(db)) == 10

    def test_its_first_outcome_is_known(self, db: Database, now: datetime) -> None:
        text = incoming(SHE, "hello")
        db.writer.run(receive, text, ACCOUNT, now)
        assert db.reading(outcomes, [text.message_sid, sid()]) == {text.message_sid: Outcome.NOTHING}


class TestOptIn:
    def test_start_opens_and_says_so(self, db: Database, now: datetime, program: int) -> None:
        text_in(db, SHE, "STOP", now)
        assert text_in(db, SHE, "START", now + timedelta(minutes=1)) is Outcome.OPTED_IN
        assert not db.reading(is_out, SHE, Category.MARKETING, program)
        assert [t.kind for t in texts(db)] == ["confirmation", "welcome_back"]

    @pytest.mark.parametrize("word", ["START", "YES", "UNSTOP"])
    def test_from_somebody_who_is_not_out_means_nothing(self, db: Database, now: datetime, word: str) -> None:
        assert text_in(db, SHE, word, now) is Outcome.OPT_IN_IGNORED
        assert texts(db) == []
        assert actions(db) == ["opt_in.ignored"]

    def test_yes_opens_for_somebody_who_is_out(self, db: Database, now: datetime) -> None:
        text_in(db, AMERICAN, "STOP", now)
        assert text_in(db, AMERICAN, "Yes", now + timedelta(minutes=1)) is Outcome.OPTED_IN

    def test_older_than_the_stop_is_ignored_and_logged(self, db: Database, now: datetime, program: int) -> None:
        """P7: fetched late from Twilio's list, with the time it was sent."""
        text_in(db, SHE, "STOP", now)
        late = text_in(db, SHE, "START", now + timedelta(minutes=2), sent_at=now - timedelta(minutes=3))
        assert late is Outcome.OPT_IN_IGNORED
        assert db.reading(is_out, SHE, Category.MARKETING, program)
        assert actions(db)[-1] == "opt_in.ignored"

    def test_replayed_start_is_inert(self, db: Database, now: datetime, program: int) -> None:
        """P7: a captured, validly signed webhook posted again after a newer STOP."""
        start = incoming(SHE, "START")
        text_in(db, SHE, "STOP", now)
        db.writer.run(receive, start, ACCOUNT, now + timedelta(minutes=1))
        text_in(db, SHE, "STOP", now + timedelta(minutes=2))
        assert db.writer.run(receive, start, ACCOUNT, now + timedelta(minutes=3)) is Outcome.DUPLICATE
        assert db.reading(is_out, SHE, Category.MARKETING, program)


class TestAnswerer:
    """P4: exactly one answers."""

    @pytest.mark.parametrize(
        ("answers", "body", "opt_out_type", "ours"),
        [
            ("gateway", "STOP", None, True),
            ("gateway", "STOP", "STOP", False),
            ("twilio", "STOP", "STOP", False),
            ("twilio", "stop", None, False),
            ("twilio", "HELP", "HELP", False),
            ("twilio", "abmelden", None, True),
            ("carrier", "STOP", None, False),
            ("carrier", "QUIT", None, True),
            ("carrier", "HELP", None, True),
        ],
    )
    def test_who(
        self,
        db: Database,
        now: datetime,
        program: int,
        make_sender: Callable[..., int],
        answers: str,
        body: str,
        opt_out_type: str | None,
        ours: bool,
    ) -> None:
        make_sender(program, TOLL_FREE, answers=answers)
        text_in(db, SHE, body, now, to=TOLL_FREE, opt_out_type=opt_out_type)
        assert len(texts(db)) == int(ours)
        assert ("reply.not_sent" in actions(db)) is not ours

    def test_twilios_verdict_counts_where_ours_differs(self, db: Database, now: datetime) -> None:
        assert text_in(db, SHE, "adios amigos", now, opt_out_type="STOP") is Outcome.OPTED_OUT
        assert opt_outs(db)[0].rule == "twilio:STOP"

    def test_help(self, db: Database, now: datetime) -> None:
        text_in(db, AMERICAN, "HELP", now)
        text_in(db, SHE, "HILFE", now)
        american, german = texts(db)
        assert "Msg & data rates may apply" in american.body
        assert "Msg & data rates may apply" not in german.body
        for text in (american, german):
            assert "Acme" in text.body
            assert "help@acme.example" in text.body
            assert "STOP" in text.body


class TestLoopBreaker:
    def test_a_few_in_an_hour_then_silence(self, db: Database, now: datetime) -> None:
        for minute in range(8):
            text_in(db, SHE, "HELP", now + timedelta(minutes=minute))
        assert len(texts(db)) == 4
        assert actions(db).count("reply.not_sent") == 4
        text_in(db, SHE, "HELP", now + timedelta(minutes=61))
        assert len(texts(db)) == 5

    def test_many_in_one_commit(self, db: Database, now: datetime) -> None:
        async def at_once() -> None:
            arrivals = [Arrival(incoming(SHE, "HELP"), ACCOUNT, now) for _ in range(50)]
            await asyncio.gather(*(db.writer.submit_together(receive_all, arrival) for arrival in arrivals))

        asyncio.run(at_once())
        # Two lanes may count at the same moment.
        assert len(texts(db)) <= 4 * db.settings.lanes

    def test_an_echo_of_our_own_text_is_not_answered(
        self, db: Database, now: datetime, program: int, sender: int
    ) -> None:
        queue(db, now, program_id=program, sender_id=sender, number=SHE, body="HELP")
        text_in(db, SHE, "HELP ", now + timedelta(seconds=5))
        assert texts(db, category="reply") == []

    def test_short_codes_are_not_answered_but_taken_out(self, db: Database, now: datetime, program: int) -> None:
        assert text_in(db, "72975", "STOP", now) is Outcome.OPTED_OUT
        assert texts(db) == []

    def test_the_opt_out_holds_whatever_the_breaker_says(self, db: Database, now: datetime, program: int) -> None:
        for minute in range(6):
            text_in(db, SHE, "STOP" if minute % 2 == 0 else "START", now + timedelta(minutes=minute))
        text_in(db, SHE, "STOP", now + timedelta(minutes=6))
        assert db.reading(is_out, SHE, Category.MARKETING, program)


class TestRefusals:
    def test_another_account_is_recorded_and_has_no_effect(self, db: Database, now: datetime) -> None:
        assert text_in(db, SHE, "STOP", now, account_sid="AC" + "b" * 32) is Outcome.UNKNOWN_ACCOUNT
        assert (opt_outs(db), texts(db)) == ([], [])
        assert inbounds(db)[0].outcome == "unknown_account"
        assert actions(db) == ["inbound.unknown_account"]

    def test_an_unknown_number_of_ours_still_honours_a_stop(self, db: Database, now: datetime) -> None:
        """P2: Twilio signed it with our token, so she answered a text of ours."""
        assert text_in(db, SHE, "STOP", now, to="+4915735989999") is Outcome.UNKNOWN_SENDER
        assert opt_outs(db)[0].scope == Scope.MARKETING
        assert texts(db) == []
        assert "inbound.unknown_sender" in actions(db)


@pytest.mark.parametrize(
    "body", ["", " ", "Hello, when do you open?", "\u202e", "x" * 1600, "'; DROP TABLE opt_outs"]
)
def test_ordinary_texts_change_nothing(db: Database, now: datetime, body: str) -> None:
    assert text_in(db, SHE, body, now) is Outcome.NOTHING
    assert inbounds(db)[0].body == body
    assert (opt_outs(db), texts(db)) == ([], [])


def test_an_insult_is_for_a_human(db: Database, now: datetime) -> None:
    assert text_in(db, SHE, "shut up", now) is Outcome.COMPLAINT
    assert (opt_outs(db), texts(db)) == ([], [])


def test_a_double_step_is_only_an_offer_after_the_effect(
    db: Database, now: datetime, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> None:
    program = make_program("Sakura", offer_countries="JP")
    make_sender(program, "+819012340000")
    text_in(db, "+819012345678", "STOP", now, to="+819012340000")
    assert db.reading(is_out, "+819012345678", Category.MARKETING, program)
    assert [t.kind for t in texts(db)] == ["confirmation_offer"]

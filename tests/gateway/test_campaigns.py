"""Campaigns from the draft to the queue: screening, links, quiet hours, and what may not be switched off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import audit, campaigns, links, optouts, outbox
from gateway.campaigns.expansion import NEXT
from gateway.db import Database, Transaction
from gateway.errors import BadInput, Conflict, GatewayError, NotFound
from gateway.models import Campaign, CampaignState, Category, OutboundMessage, Scope, Source, State
from gateway.optouts import Signal
from gateway.settings import Settings

outbound = OutboundMessage.__table__
campaign_table = Campaign.__table__

GERMAN = [f"+4915123456{tail:03}" for tail in range(100, 120)]
NEW_YORK = "+12125550123"


class Starter:
    """Notes the jobs instead of enqueueing them."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []

    def __call__(self, connection: object, name: str, key: int) -> None:
        self.started.append((name, key))

    def close(self) -> None:
        pass


class Stage:
    """One program, one sender, and the campaign verbs with little to say each time."""

    def __init__(self, db: Database, settings: Settings, now: datetime, program_id: int, sender_id: int) -> None:
        self.db, self.settings, self.now = db, settings, now
        self.program_id, self.sender_id = program_id, sender_id
        starter = Starter()
        self.jobs, db.writer.start_job = starter.started, starter

    def create(self, **changes: Any) -> int:
        values = {
            "program_id": self.program_id,
            "sender_id": self.sender_id,
            "name": "Spring",
            "text": "20% off today",
            "created_by": "key:anna",
            "now": self.now,
        }
        return self.db.writer.run(campaigns.create, **(values | changes))

    def add(self, campaign_id: int, numbers: list[str]) -> campaigns.Added:
        return self.db.writer.run(campaigns.add_recipients, campaign_id, numbers, self.now)

    def start(self, campaign_id: int) -> None:
        self.db.writer.run(campaigns.start, campaign_id, self.now)

    def started(self, numbers: list[str], **changes: Any) -> int:
        campaign_id = self.create(**changes)
        self.add(campaign_id, numbers)
        self.start(campaign_id)
        return campaign_id

    def expand(self, campaign_id: int, size: int = 500, now: datetime | None = None) -> bool:
        return self.db.writer.run(campaigns.expand_batch, campaign_id, self.settings, now or self.now, size)

    def opt_out(self, number: str, scope: Scope = Scope.PROGRAM, program_id: int | None = None) -> None:
        signal = Signal(self.now, Source.REPLY, "inbound:SM1", "test")
        self.db.writer.run(optouts.record, number, scope, signal, program_id=program_id or self.program_id)

    def progress(self, campaign_id: int) -> campaigns.Progress:
        return self.db.reading(campaigns.progress, campaign_id)

    def texts(self) -> list[Any]:
        return self.db.reading(lambda c: c.execute(sa.select(outbound).order_by(outbound.c.id)).all())

    def events(self) -> list[Any]:
        return self.db.reading(lambda c: list(audit.read(c)))

    def actions(self) -> list[str]:
        return [event.action for event in self.events()]


@pytest.fixture
def stage(
    db: Database,
    settings: Settings,
    now: datetime,
    make_program: Callable[..., int],
    make_sender: Callable[..., int],
) -> Stage:
    program_id = make_program(language="de")
    return Stage(db, settings, now, program_id, make_sender(program_id))


def test_a_draft_is_created_with_its_event(stage: Stage) -> None:
    campaign_id = stage.create(text="  Hallo  ")
    progress = stage.progress(campaign_id)
    assert (progress.state, progress.name, progress.recipients) == (CampaignState.DRAFT, "Spring", 0)
    [event] = stage.events()
    assert (event.action, event.actor, event.cause) == ("campaign.created", "key:anna", f"campaign:{campaign_id}")
    assert event.details["name"] == "Spring"
    assert "Hallo" not in str(event.details)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"text": ""}, BadInput, "text"),
        ({"text": " \n "}, BadInput, "text"),
        ({"text": "a\x00b"}, BadInput, "text"),
        ({"text": "x" * 1601, "with_link": False}, BadInput, "text"),
        ({"text": "x" * 1511}, BadInput, "text"),
        ({"name": ""}, BadInput, "name"),
        ({"name": "x" * 101}, BadInput, "name"),
        ({"category": Category.REPLY}, BadInput, "category"),
        ({"sender_id": 999}, NotFound, "sender_id"),
        ({"program_id": 999}, NotFound, "sender_id"),
    ],
)
def test_a_draft_that_cannot_be(
    stage: Stage, changes: dict[str, Any], error: type[GatewayError], field: str
) -> None:
    with pytest.raises(error) as raised:
        stage.create(**changes)
    assert raised.value.field == field
    assert stage.actions() == []


@pytest.mark.parametrize(("length", "with_link"), [(1600, False), (1510, True)])
def test_the_longest_text_there_may_be(stage: Stage, length: int, with_link: bool) -> None:
    campaign_id = stage.started(GERMAN[:1], text="x" * length, with_link=with_link)
    stage.expand(campaign_id)
    assert len(stage.texts()[0].body) <= 1600


def test_the_sender_of_another_program_is_refused(
    stage: Stage, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> None:
    other = make_sender(make_program("Other"), "+4915735980001")
    with pytest.raises(NotFound):
        stage.create(sender_id=other)


def test_the_link_stays_on_where_replies_cannot_arrive(stage: Stage, make_sender: Callable[..., int]) -> None:
    name = make_sender(stage.program_id, "Acme", can_receive=False)
    with pytest.raises(BadInput, match="only way out") as raised:
        stage.create(sender_id=name, with_link=False)
    assert raised.value.field == "with_link"
    assert stage.create(sender_id=name, with_link=True)


def test_recipients_count_once(stage: Stage) -> None:
    campaign_id = stage.create()
    assert stage.add(campaign_id, GERMAN[:3] + GERMAN[:1]) == campaigns.Added(3, 1)
    assert stage.add(campaign_id, GERMAN[2:5]) == campaigns.Added(2, 1)
    assert stage.add(campaign_id, []) == campaigns.Added(0, 0)
    assert stage.progress(campaign_id).recipients == 5


def test_a_number_may_be_in_two_campaigns(stage: Stage) -> None:
    for campaign_id in (stage.create(), stage.create()):
        assert stage.add(campaign_id, GERMAN[:1]) == campaigns.Added(1, 0)


def test_no_more_than_a_thousand_at_once(stage: Stage) -> None:
    campaign_id = stage.create()
    many = [f"+4915{number:09}" for number in range(1001)]
    with pytest.raises(BadInput):
        stage.add(campaign_id, many)
    assert stage.add(campaign_id, many[:1000]) == campaigns.Added(1000, 0)


def test_recipients_are_for_drafts(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:1])
    with pytest.raises(Conflict, match="running"):
        stage.add(campaign_id, GERMAN[1:2])
    with pytest.raises(NotFound):
        stage.add(campaign_id + 1, GERMAN[1:2])


def test_starting_asks_for_the_expansion(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:1])
    assert stage.jobs == [("expand", campaign_id)]
    assert stage.progress(campaign_id).state == CampaignState.RUNNING
    assert stage.actions()[-1] == "campaign.started"


def test_a_campaign_starts_once_and_not_empty(stage: Stage) -> None:
    empty = stage.create()
    with pytest.raises(BadInput, match="no recipients"):
        stage.start(empty)
    campaign_id = stage.started(GERMAN[:1])
    with pytest.raises(Conflict, match="started before"):
        stage.start(campaign_id)
    with pytest.raises(NotFound):
        stage.start(999)
    assert stage.jobs == [("expand", campaign_id)]


def test_recipients_become_queued_texts(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:3])
    assert stage.expand(campaign_id) is False
    texts = stage.texts()
    assert [text.number for text in texts] == GERMAN[:3]
    assert {(text.state, text.category, text.campaign_id) for text in texts} == {
        (State.QUEUED, Category.MARKETING, campaign_id)
    }
    assert stage.jobs[-1] == ("dispatch", stage.sender_id)
    assert stage.progress(campaign_id).state == CampaignState.EXPANDED


def test_every_text_carries_a_link_of_its_own(stage: Stage) -> None:
    stage.expand(stage.started(GERMAN[:3]))
    texts = stage.texts()
    assert len({text.link_token for text in texts}) == 3
    for text in texts:
        assert text.body == f"20% off today\nAbmelden: https://optout.example/u/{text.link_token}"
        assert links.find_token(text.body, link_url=None, public_url="https://optout.example") == text.link_token


def test_the_short_domain_is_used(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"link_url": "https://ex.am"})
    stage.expand(stage.started(GERMAN[:1]))
    [text] = stage.texts()
    assert text.body.endswith(f"https://ex.am/{text.link_token}")


def test_without_the_link_the_text_is_as_it_was_written(stage: Stage) -> None:
    stage.expand(stage.started(GERMAN[:1], with_link=False))
    [text] = stage.texts()
    assert (text.body, text.link_token) == ("20% off today", None)


def test_expansion_goes_in_batches(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:5])
    assert stage.expand(campaign_id, size=2) is True
    assert stage.progress(campaign_id).expanded == 2
    assert stage.progress(campaign_id).state == CampaignState.RUNNING
    assert stage.expand(campaign_id, size=2) is True
    assert stage.expand(campaign_id, size=2) is False
    assert [text.number for text in stage.texts()] == GERMAN[:5]


def test_a_full_last_batch_is_followed_by_an_empty_one(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:4])
    assert [stage.expand(campaign_id, size=2) for _ in range(3)] == [True, True, False]
    assert stage.progress(campaign_id).state == CampaignState.EXPANDED
    assert len(stage.texts()) == 4
    assert stage.jobs.count(("dispatch", stage.sender_id)) == 2


def test_expanding_once_more_does_nothing(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:2])
    stage.expand(campaign_id)
    assert stage.expand(campaign_id) is False
    assert len(stage.texts()) == 2


def test_a_draft_is_not_expanded(stage: Stage) -> None:
    campaign_id = stage.create()
    stage.add(campaign_id, GERMAN[:1])
    assert stage.expand(campaign_id) is False
    assert stage.texts() == []


def test_campaigns_whose_recipients_lie_between_each_other(stage: Stage) -> None:
    first, second = stage.create(), stage.create()
    for number in GERMAN[:4]:
        stage.add(first, [number])
        stage.add(second, [number])
    stage.start(second)
    while stage.expand(second, size=3):
        pass
    assert [(text.number, text.campaign_id) for text in stage.texts()] == [(n, second) for n in GERMAN[:4]]


@pytest.mark.parametrize(
    ("scope", "category", "same_program", "skipped"),
    [
        (Scope.PROGRAM, Category.MARKETING, True, True),
        (Scope.PROGRAM, Category.MARKETING, False, False),
        (Scope.MARKETING, Category.MARKETING, False, True),
        (Scope.ALL, Category.MARKETING, False, True),
        (Scope.PROGRAM, Category.INFORMATIONAL, True, False),
        (Scope.MARKETING, Category.INFORMATIONAL, True, False),
        (Scope.ALL, Category.INFORMATIONAL, True, True),
    ],
)
def test_p2_whoever_is_out_is_skipped_and_counted(
    stage: Stage,
    make_program: Callable[..., int],
    scope: Scope,
    category: Category,
    same_program: bool,
    skipped: bool,
) -> None:
    program_id = stage.program_id if same_program else make_program("Other")
    stage.opt_out(GERMAN[1], scope, program_id)
    campaign_id = stage.started(GERMAN[:3], category=category)
    assert stage.db.reading(campaigns.out_of, campaign_id) == skipped
    stage.expand(campaign_id)
    expected = [GERMAN[0], GERMAN[2]] if skipped else GERMAN[:3]
    assert [text.number for text in stage.texts()] == expected
    progress = stage.progress(campaign_id)
    assert (progress.skipped_out, progress.expanded, progress.recipients) == (skipped, 3, 3)


def test_the_log_tells_who_was_skipped_and_how_far_it_came(stage: Stage) -> None:
    stage.opt_out(GERMAN[0])
    campaign_id = stage.started(GERMAN[:3])
    stage.expand(campaign_id)
    events = {event.action: event for event in stage.events()}
    skipped, expanded = events["recipient.skipped"], events["campaign.expanded"]
    assert (skipped.number, skipped.cause) == (GERMAN[0], f"campaign:{campaign_id}")
    assert skipped.details == {"why": "opted out"}
    assert (expanded.details["texts"], expanded.details["skipped_out"]) == (2, 1)
    assert expanded.details["complete"] is True


def test_an_opt_out_between_two_batches_counts(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:4])
    stage.expand(campaign_id, size=2)
    for number in (GERMAN[0], GERMAN[3]):
        stage.opt_out(number)
    stage.expand(campaign_id, size=3)
    assert [(text.number, text.state) for text in stage.texts()] == [
        (GERMAN[0], State.SUPPRESSED),
        (GERMAN[1], State.QUEUED),
        (GERMAN[2], State.QUEUED),
    ]
    assert stage.progress(campaign_id).by_state == {"suppressed": 1, "queued": 2}


def test_marketing_waits_for_the_end_of_quiet_hours(stage: Stage) -> None:
    night = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # 03:00 in New York, 09:00 in Germany
    campaign_id = stage.started([NEW_YORK, GERMAN[0]])
    stage.expand(campaign_id, now=night)
    american, german = stage.texts()
    # 47 CFR 64.1200(c)(1): not before 8 a.m. at her place, which is 13:00 UTC.
    assert american.send_after >= datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    assert german.send_after == night
    waiting = stage.db.reading(campaigns.waiting, campaign_id, night)
    assert waiting == (1, american.send_after)
    assert not stage.progress(campaign_id).is_done


def test_informational_texts_know_no_quiet_hours(stage: Stage) -> None:
    night = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    stage.expand(stage.started([NEW_YORK], category=Category.INFORMATIONAL), now=night)
    assert stage.texts()[0].send_after == night


def test_without_a_lawful_hour_the_text_is_held(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.campaigns.expansion.regions.next_allowed", lambda *args: None)
    campaign_id = stage.started(GERMAN[:1])
    stage.expand(campaign_id)
    [text] = stage.texts()
    assert text.state == State.HELD
    [held] = [event for event in stage.events() if event.action == "message.held"]
    assert (held.number, held.cause) == (GERMAN[0], f"campaign:{campaign_id}")
    progress = stage.progress(campaign_id)
    assert (progress.by_state, progress.segments, progress.is_done) == ({"held": 1}, 0, True)


def test_cancelling_takes_effect_at_once(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:4])
    stage.expand(campaign_id, size=2)
    stage.db.writer.run(outbox.claim, sender_id=stage.sender_id, owner="w", now=stage.now, limit=1)
    assert stage.db.writer.run(campaigns.cancel, campaign_id, stage.now) == 1
    assert stage.expand(campaign_id) is False
    progress = stage.progress(campaign_id)
    assert (progress.state, progress.by_state) == (CampaignState.CANCELLED, {"sending": 1, "cancelled": 1})
    assert not progress.is_done
    assert stage.actions()[-1] == "campaign.cancelled"
    with pytest.raises(Conflict):
        stage.db.writer.run(campaigns.cancel, campaign_id, stage.now)


def test_only_its_own_texts_are_cancelled(stage: Stage) -> None:
    one, other = stage.started(GERMAN[:1]), stage.started(GERMAN[1:2])
    stage.expand(one)
    stage.expand(other)
    stage.db.writer.run(campaigns.cancel, one, stage.now)
    assert [text.state for text in stage.texts()] == [State.CANCELLED, State.QUEUED]


def test_a_cancelled_draft_cannot_start(stage: Stage) -> None:
    campaign_id = stage.create()
    stage.add(campaign_id, GERMAN[:1])
    assert stage.db.writer.run(campaigns.cancel, campaign_id, stage.now) == 0
    with pytest.raises(Conflict):
        stage.start(campaign_id)
    with pytest.raises(NotFound):
        stage.db.writer.run(campaigns.cancel, 999, stage.now)


def test_progress_counts_segments_of_what_leaves(stage: Stage) -> None:
    stage.opt_out(GERMAN[0])
    text = "x" * 300
    campaign_id = stage.started(GERMAN[:4], text=text)
    stage.expand(campaign_id)
    stage.opt_out(GERMAN[1])
    each = campaigns.estimate(text, True, "de", stage.settings).segments
    assert each == 3
    assert stage.progress(campaign_id).segments == 2 * each


@pytest.mark.parametrize("with_link", [True, False])
def test_the_estimate_is_what_every_text_has(stage: Stage, with_link: bool) -> None:
    text = "Frühling 🌷 " * 9
    campaign_id = stage.started(GERMAN[:5], text=text, with_link=with_link)
    stage.expand(campaign_id)
    estimate = campaigns.estimate(text.strip(), with_link, "de", stage.settings)
    assert {row.segments for row in stage.texts()} == {estimate.segments}
    assert estimate.encoding == "UCS-2"


def test_progress_of_nothing(stage: Stage) -> None:
    with pytest.raises(NotFound):
        stage.progress(1)


def test_a_campaign_is_done_when_every_text_has_settled(stage: Stage) -> None:
    campaign_id = stage.started(GERMAN[:1])
    assert not stage.progress(campaign_id).is_done
    stage.expand(campaign_id)
    assert not stage.progress(campaign_id).is_done
    stage.db.writer.run(_set_state, State.SENT)
    assert stage.progress(campaign_id).is_done


def _set_state(tx: Transaction, state: State) -> None:
    tx.execute(outbound.update().values(state=state))


def test_the_newest_campaigns_come_first(stage: Stage) -> None:
    ids = [stage.create(name=f"No {count}", now=stage.now + timedelta(hours=count)) for count in range(3)]
    rows = stage.db.reading(campaigns.listing, 2)
    assert [row.id for row in rows] == [ids[2], ids[1]]
    assert rows[0].program == "Acme"


# PostgreSQL plans by statistics: over an empty table its plan tells nothing.
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_expansion_reads_its_own_recipients_only(stage: Stage) -> None:
    """The index gives the order, so that a batch never sorts or passes over other campaigns' recipients."""
    query = NEXT.compile(dialect=sa.dialects.sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    literal = str(query).replace("\n", " ")
    arguments = tuple(1 for _ in query.positiontup or ())
    plan = stage.db.reading(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {literal}", arguments).all())
    told = " ".join(step[-1] for step in plan)
    assert "campaign_recipients_in_order" in told
    assert "TEMP B-TREE" not in told

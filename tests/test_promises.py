"""One test for each promise of the product, named after it. The wider cases stand with the rooms they concern.

P8 under SIGKILL is `tests/journeys/test_crash.py`; P9 (seals) and P10 (replay) come with later versions, the
part that there is (one transaction, everything stored) is tested here.
"""

import asyncio
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from gateway import campaigns, hearing, inbound, keys, links, outbox
from gateway.app import create_app
from gateway.carrier import ListedMessage, OutcomeUnknown, OutgoingText, Sent
from gateway.db import Database, Transaction
from gateway.dispatch import Dispatcher
from gateway.models import Category, OptOut, Role, State
from gateway.optouts import is_out
from tests.gateway.helpers import (
    ACCOUNT,
    actions,
    held_up,
    inbounds,
    incoming,
    opt_outs,
    queue,
    rows,
    text_in,
    texts,
)
from tests.gateway.web.client import form, post

SHE = "+4915735981001"


@pytest.fixture
def program(make_program: Callable[..., int]) -> int:
    return make_program("Acme")


@pytest.fixture
def sender(program: int, make_sender: Callable[..., int]) -> int:
    return make_sender(program)


@pytest.fixture
def client(db: Database, sender: int, now: datetime) -> Iterator[TestClient]:
    with TestClient(create_app(db.settings, db, now=lambda: now)) as client:
        yield client


class Carrier:
    """The carrier's socket, faked: keeps what was handed over; some answers get lost."""

    def __init__(self, lose_every: int = 0, latency: float = 0.002) -> None:
        self.accepted: list[OutgoingText] = []
        self.latency = latency
        self.lose_every = lose_every

    async def send(self, text: OutgoingText) -> Sent:
        await asyncio.sleep(self.latency)
        self.accepted.append(text)
        if self.lose_every and len(self.accepted) % self.lose_every == 0:
            raise OutcomeUnknown("connection cut")
        return Sent(f"SM{len(self.accepted):032x}", "queued")

    async def list_sent(self, to: str, since: datetime) -> list[ListedMessage]:
        return [
            ListedMessage(
                f"SM{n:032x}", t.to, t.sender or "", t.body, "sent", None, datetime.now(UTC), "outbound-api"
            )
            for n, t in enumerate(self.accepted, 1)
            if t.to == to
        ]

    async def list_received(self, since: datetime, until: datetime, to: str | None = None) -> list[ListedMessage]:
        return []

    async def aclose(self) -> None:
        pass


def test_p1_acknowledged_only_after_the_decision_is_durable(client: TestClient, db: Database) -> None:
    """At the moment of the answer another connection sees the opt-out; without a commit there is no answer."""
    assert post(client, "/twilio/inbound", form(SHE, "STOP")).status_code == 200
    assert len(opt_outs(db)) == 1
    db.settings.database_timeout = 1.5
    with held_up(db):
        assert post(client, "/twilio/inbound", form("+4915735981002", "STOP")).status_code == 503
    assert len(opt_outs(db)) == 1


@pytest.mark.parametrize(
    "number",
    [SHE, "+12125550142", "+14165550142", "+447700900123", "+33612345678", "+819012345678", "+8613912345678"],
)
def test_p2_effective_on_the_first_signal_everywhere(
    db: Database, now: datetime, program: int, sender: int, number: str
) -> None:
    queue(db, now, program_id=program, sender_id=sender, number=number)
    text_in(db, number, "STOP", now)
    assert db.reading(is_out, number, Category.MARKETING, program)
    assert texts(db, kind="campaign")[0].state == State.SUPPRESSED


TEXTS, STOPS = 2000, 600


def test_p3_no_permit_after_a_stop(
    db: Database, program: int, sender: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """STOPs at every step of a running campaign: before, while it expands, while it is sent, by two processes."""
    numbers = [f"+4915735{n:06}" for n in range(TEXTS)]
    campaign = _draft(db, program, sender, numbers)
    other, carrier = Database(db.settings), Carrier(latency=0.015)
    # Every third number, in an order that has nothing to do with the campaign's.
    leaving = sorted(numbers[::3], key=lambda number: zlib.crc32(number.encode()))[:STOPS]

    def leave() -> None:
        for number in leaving:
            text_in(other, number, "STOP", datetime.now(UTC))
            time.sleep(0.001)

    def expand() -> None:
        while db.writer.run(campaigns.expand_batch, campaign, db.settings, datetime.now(UTC), 50):
            time.sleep(0.02)

    async def send(side: Database, owner: str) -> None:
        slow = side.settings.model_copy(update={"send_concurrency": 8, "claim_batch": 10})
        dispatcher = Dispatcher(side, carrier, slow, owner)
        while running.is_set() or await dispatcher.dispatch(sender, None, seconds=0.2):
            await dispatcher.dispatch(sender, None, seconds=0.2)

    running = threading.Event()
    running.set()
    db.writer.run(campaigns.start, campaign, datetime.now(UTC))
    senders = [
        threading.Thread(target=lambda s=side, o=owner: asyncio.run(send(s, o)))  # type: ignore[misc]
        for side, owner in ((db, "one"), (other, "two"))
    ]
    work = [threading.Thread(target=expand), threading.Thread(target=leave)]
    for thread in [*work, *senders]:
        thread.start()
    for thread in work:
        thread.join()
    running.clear()
    for thread in senders:
        thread.join()
    found = _fates(db)
    other.close()
    with capsys.disabled():
        print(
            f"\n{db.engine.dialect.name}: {len(found)} STOPs, {sum(f['residue'] for f in found)} texts of residue"
        )
    assert len(found) == STOPS
    assert len(carrier.accepted) == len({text.to for text in carrier.accepted})
    assert [fate for fate in found if fate["permitted"] and not (fate["residue"] or fate["before"])] == []
    # Not vacuous: STOPs met texts in every stage.
    assert any(f["suppressed"] for f in found)
    assert any(f["before"] for f in found)
    assert any(f["residue"] for f in found)


def _draft(db: Database, program: int, sender: int, numbers: list[str]) -> int:
    now = datetime.now(UTC)
    campaign = db.writer.run(
        campaigns.create, program_id=program, sender_id=sender, name="c", text="Hi", created_by="t", now=now
    )
    for at in range(0, len(numbers), 500):
        db.writer.run(campaigns.add_recipients, campaign, numbers[at : at + 500], now)
    return campaign


def _fates(db: Database) -> list[dict[str, Any]]:
    """For each STOP: was her text suppressed by it, under way (residue), settled before, permitted at all?

    Events are numbered in the order of their commits where they concern one number, because the row's lock
    decides who comes first.
    """
    query = sa.text(
        "SELECT stop.number AS number, stop.id AS stop_id, stop.details AS details, text.state AS state, "
        "text.claimed_at IS NOT NULL AS permitted, "
        "(SELECT min(sent.id) FROM audit_events sent WHERE sent.number = stop.number "
        " AND sent.action = 'message.sent') AS sent_id "
        "FROM audit_events stop LEFT JOIN outbound_messages text "
        "ON text.number = stop.number AND text.kind = 'campaign' "
        "WHERE stop.action = 'opt_out.recorded'"
    ).columns(details=sa.JSON())
    return [
        {
            "residue": row.details["residue"],
            "suppressed": row.details["suppressed"],
            "permitted": bool(row.permitted),
            "before": row.sent_id is not None and row.sent_id < row.stop_id,
        }
        for row in db.reading(lambda connection: connection.execute(query).all())
    ]


def test_p4_one_confirmation_within_five_minutes_or_never(db: Database, now: datetime, sender: int) -> None:
    for second in range(3):
        text_in(db, SHE, "STOP", now + timedelta(seconds=second))
    (confirmation,) = texts(db)
    late = now + timedelta(minutes=5)
    assert db.writer.run(outbox.claim, sender_id=None, owner="w", now=late, limit=10) == []
    assert db.writer.run(outbox.drop_expired, late) == 1
    assert texts(db)[0].state == State.CANCELLED
    assert confirmation.confirms_id == opt_outs(db)[0].id


@pytest.mark.parametrize("body", ["STOP +4915735982222", "STOP\n+4915735982222", "stop 015735982222"])
def test_p5_always_the_senders_number(db: Database, now: datetime, sender: int, body: str) -> None:
    text_in(db, SHE, body, now)
    text_in(db, SHE, "STOP", now)
    assert {row.number for row in rows(db, OptOut)} == {SHE}


def test_p6_get_changes_nothing(
    client: TestClient, db: Database, now: datetime, program: int, sender: int
) -> None:
    token = links.new_token()
    queue(db, now, program_id=program, sender_id=sender, number=SHE, link_token=token)
    before = (actions(db), opt_outs(db), texts(db))
    for path in (
        f"/u/{token}",
        f"/u/{token}/undo",
        f"/u/{token}/reason",
        "/console",
        "/twilio/inbound",
        "/api/v1/campaigns",
    ):
        for method in ("GET", "HEAD", "OPTIONS"):
            client.request(method, path)
    # A bare POST, as scanners make them, is not a tap either.
    client.post(f"/u/{token}")
    assert (actions(db), opt_outs(db), texts(db)) == before


def test_p7_an_opt_out_wins_over_imports_and_replays(
    db: Database, now: datetime, program: int, sender: int
) -> None:
    start = incoming(SHE, "START")
    text_in(db, SHE, "STOP", now)
    db.writer.run(inbound.receive, start, ACCOUNT, now + timedelta(seconds=1))
    text_in(db, SHE, "STOP", now + timedelta(seconds=2))
    db.writer.run(inbound.receive, start, ACCOUNT, now + timedelta(seconds=3))
    text_in(db, SHE, "START", now + timedelta(seconds=4), sent_at=now - timedelta(days=1))
    campaign = db.writer.run(
        campaigns.create, program_id=program, sender_id=sender, name="c", text="x", created_by="t", now=now
    )
    db.writer.run(campaigns.add_recipients, campaign, [SHE], now + timedelta(seconds=5))
    db.writer.run(campaigns.start, campaign, now)
    db.writer.run(campaigns.expand_batch, campaign, db.settings, now + timedelta(seconds=6))
    assert db.reading(is_out, SHE, Category.MARKETING, program)
    assert texts(db, kind="campaign") == []


def test_p8_an_unknown_outcome_is_settled_by_looking(db: Database, program: int, sender: int) -> None:
    """Every fourth answer is lost: each text is handed over once, and each lost one is found by its token."""
    now = datetime.now(UTC)
    for n in range(40):
        token = links.new_token()
        link = links.short_link(token, link_url=None, public_url=db.settings.public_url)
        queue(
            db, now, program_id=program, sender_id=sender, number=f"+4915735{n % 4:06}",
            body=links.append("Hi", link, "en"), link_token=token,
        )  # fmt: skip
    carrier = Carrier(lose_every=4)

    async def send() -> None:
        dispatcher = Dispatcher(db, carrier, db.settings, "w")
        await dispatcher.dispatch(sender, None)
        assert len(texts(db, state=State.UNKNOWN)) == 10
        await dispatcher.reconcile()

    asyncio.run(send())
    assert {text.state for text in texts(db)} == {State.SENT}
    assert len(carrier.accepted) == 40
    assert len({text.sid for text in texts(db)}) == 40


def test_p9_a_change_and_its_event_are_one_transaction(db: Database, now: datetime, sender: int) -> None:
    def then_fail(tx: Transaction) -> None:
        inbound.receive(tx, incoming(SHE, "STOP"), ACCOUNT, now)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        db.writer.run(then_fail)
    assert (actions(db), opt_outs(db), inbounds(db), texts(db)) == ([], [], [], [])


def test_p10_the_stored_facts_give_the_same_decision_again(db: Database, now: datetime, sender: int) -> None:
    for body in ("STOP", "abmelden", "hello", "🛑", "START"):
        text_in(db, SHE, body, now)
    for row in inbounds(db):
        again = hearing.decide(
            row.body,
            row.opt_out_type,
            country=row.country,
            languages=tuple(filter(None, row.languages.split(","))),
            advertised=tuple(filter(None, row.advertised.split(","))),
        )
        assert (again.intent, again.certainty, again.rule) == (row.intent, row.certainty, row.rule)


def test_p11_bad_input_names_its_place_and_nothing_else_is_lost(
    client: TestClient, db: Database, now: datetime, program: int, sender: int
) -> None:
    key = db.writer.run(keys.create, "m", Role.MARKETER, now)
    head = {"Authorization": f"Bearer {key}"}
    fields = {"program_id": program, "sender_id": sender, "name": "c", "text": "x"}
    refused = client.post("/api/v1/campaigns", json=fields | {"text": ""}, headers=head)
    assert (refused.status_code, refused.json()["field"]) == (422, "text")
    campaign = client.post("/api/v1/campaigns", json=fields, headers=head).json()["id"]
    answer = client.post(
        f"/api/v1/campaigns/{campaign}/recipients",
        content="phone\n+4915735981001\n12\n+4915735981001\n+4915735981002\n",
        headers=head | {"Content-Type": "text/csv"},
    ).json()
    assert (answer["added"], answer["duplicates"]) == (2, 1)
    assert [error["row"] for error in answer["errors"]] == [3]


def test_p12_nobody_gets_in(client: TestClient, db: Database, now: datetime, program: int, sender: int) -> None:
    for headers in ({}, {"Authorization": "Bearer optout_guess"}, {"Authorization": "Basic eDp5"}):
        for path in ("campaigns", "audit-events", "opt-outs/+4915735981001"):
            assert client.get(f"/api/v1/{path}", headers=headers).status_code == 401
    auditor = {"Authorization": f"Bearer {db.writer.run(keys.create, 'a', Role.AUDITOR, now)}"}
    assert client.post("/api/v1/campaigns", json={}, headers=auditor).status_code == 403
    assert client.post("/twilio/inbound", data=form(SHE, "STOP")).status_code == 403
    token = links.new_token()
    queue(db, now, program_id=program, sender_id=sender, number=SHE, link_token=token)
    known, unknown = (client.get(f"/u/{t}") for t in (token, links.new_token()))
    assert known.status_code == unknown.status_code == 200
    assert len(known.content) == len(unknown.content)

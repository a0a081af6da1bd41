"""Programs and senders: what is accepted, what is refused and by which law, what is written down."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from gateway import audit, programs
from gateway.db import Database
from gateway.errors import BadInput, Conflict, GatewayError, NotFound, RefusedByLaw
from gateway.models import Answers

PROGRAM = {"name": "Acme", "contact": "help@acme.example", "actor": "key:admin"}


@pytest.fixture
def create(db: Database, now: datetime) -> Callable[..., int]:
    return lambda **changes: db.writer.run(programs.create, **(PROGRAM | {"now": now} | changes))


@pytest.fixture
def create_sender(db: Database, now: datetime, create: Callable[..., int]) -> Callable[..., int]:
    program_id = create()
    usual = {"program_id": program_id, "address": "+4915735980000", "actor": "key:admin", "now": now}
    return lambda **changes: db.writer.run(programs.create_sender, **(usual | changes))


def events(db: Database) -> list[Any]:
    return db.reading(lambda connection: list(audit.read(connection)))


def the_sender(db: Database) -> Any:
    [sender] = db.reading(programs.senders)
    return sender


def test_a_program_with_its_event(db: Database, create: Callable[..., int]) -> None:
    program_id = create(name=" Acme ", language="de", default_country="de", advertised="ENDE, RAUS,")
    program = db.reading(programs.by_name, "Acme")
    assert (program.id, program.language, program.default_country) == (program_id, "de", "DE")
    assert program.advertised == "ENDE,RAUS"
    [event] = events(db)
    assert (event.action, event.actor, event.program_id) == ("program.created", "key:admin", program_id)
    assert event.details["name"] == "Acme"


def test_what_a_program_is_without_being_told(db: Database, create: Callable[..., int]) -> None:
    create()
    [program] = db.reading(programs.listing)
    assert (program.language, program.default_country) == ("en", "US")
    assert (program.advertised, program.offer_countries) == ("", "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"contact": ""}, "contact"),
        ({"contact": "x" * 201}, "contact"),
        ({"language": "xx"}, "language"),
        ({"language": "DE"}, "language"),
        ({"default_country": "UK"}, "default_country"),
        ({"default_country": "Germany"}, "default_country"),
        ({"default_country": ""}, "default_country"),
        ({"advertised": "x" * 401}, "advertised"),
        ({"offer_countries": "AU,XX"}, "offer_countries"),
    ],
)
def test_a_program_that_cannot_be(
    db: Database, create: Callable[..., int], changes: dict[str, str], field: str
) -> None:
    with pytest.raises(BadInput) as raised:
        create(**changes)
    assert raised.value.field == field
    assert events(db) == []


@pytest.mark.parametrize(("name", "contact"), [("x" * 100, "c"), ("n", "x" * 200)])
def test_the_longest_names_there_may_be(create: Callable[..., int], name: str, contact: str) -> None:
    assert create(name=name, contact=contact)


@pytest.mark.parametrize("country", ["DE", "AT", "FR", "NO", "GB", "CH", "CA", "US", "us"])
def test_a_double_opt_out_is_refused_with_the_law(create: Callable[..., int], country: str) -> None:
    with pytest.raises(RefusedByLaw, match="double opt-out is not lawful") as raised:
        create(offer_countries=f"AU,{country}")
    assert raised.value.field == "offer_countries"
    # The reason goes on behind the verdict: the marketer is told which law.
    assert len(raised.value.message) > len("DE: double opt-out is not lawful. ") + 20


def test_elsewhere_a_double_opt_out_is_an_offer(db: Database, create: Callable[..., int]) -> None:
    create(offer_countries="au, NZ,au")
    assert db.reading(programs.by_name, "Acme").offer_countries == "AU,NZ"


def test_a_name_is_taken_once(db: Database, create: Callable[..., int]) -> None:
    create()
    with pytest.raises(Conflict) as raised:
        create(contact="other")
    assert raised.value.field == "name"
    assert len(events(db)) == 1


def test_programs_come_in_the_order_of_their_names(db: Database, create: Callable[..., int]) -> None:
    for name in ("Zoo", "Acme", "Mill"):
        create(name=name)
    assert [program.name for program in db.reading(programs.listing)] == ["Acme", "Mill", "Zoo"]
    with pytest.raises(NotFound):
        db.reading(programs.by_name, "Nobody")


@pytest.mark.parametrize(
    ("address", "stored", "answers", "can_receive"),
    [
        ("+4915735980000", "+4915735980000", Answers.GATEWAY, True),
        ("+49 (0)1573 598-0000", "+4915735980000", Answers.GATEWAY, True),
        ("+1 212 555 0123", "+12125550123", Answers.GATEWAY, True),
        ("+18335550123", "+18335550123", Answers.CARRIER, True),
        ("12345", "12345", Answers.GATEWAY, True),
        ("Acme", "Acme", Answers.GATEWAY, False),
        ("Acme & Co 24", None, None, None),
        ("Acme & Co 2", "Acme & Co 2", Answers.GATEWAY, False),
        ("4915735980000", None, None, None),
        ("Ac(me", None, None, None),
        ("", None, None, None),
        ("+49", None, None, None),
    ],
)
def test_addresses(
    db: Database,
    create_sender: Callable[..., int],
    address: str,
    stored: str | None,
    answers: Answers | None,
    can_receive: bool | None,
) -> None:
    if stored is None:
        with pytest.raises(BadInput) as raised:
            create_sender(address=address)
        assert raised.value.field == "address"
        return
    create_sender(address=address)
    sender = the_sender(db)
    assert (sender.address, sender.answers, sender.can_receive) == (stored, answers, can_receive)


def test_a_sender_with_its_event(db: Database, create_sender: Callable[..., int]) -> None:
    sid = "MG" + "a" * 32
    sender_id = create_sender(messaging_service_sid=sid, answers="twilio", can_receive=False, rate=2.5)
    sender = the_sender(db)
    assert (sender.id, sender.program, sender.messaging_service_sid) == (sender_id, "Acme", sid)
    assert (sender.answers, sender.can_receive, sender.rate) == (Answers.TWILIO, False, 2.5)
    event = events(db)[-1]
    assert (event.action, event.program_id) == ("sender.created", sender.program_id)
    assert (event.details["sender"], event.details["address"]) == (sender_id, "+4915735980000")


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"program_id": 999}, NotFound, "program_id"),
        ({"messaging_service_sid": "MG123"}, BadInput, "messaging_service_sid"),
        ({"answers": "nobody"}, BadInput, "answers"),
        ({"address": "+18335550123", "answers": "gateway"}, BadInput, "answers"),
        ({"address": "Acme", "can_receive": True}, BadInput, "can_receive"),
        ({"rate": 0}, BadInput, "rate"),
        ({"rate": -1.0}, BadInput, "rate"),
        ({"rate": float("inf")}, BadInput, "rate"),
        ({"rate": float("nan")}, BadInput, "rate"),
    ],
)
def test_a_sender_that_cannot_be(
    db: Database,
    create_sender: Callable[..., int],
    changes: dict[str, Any],
    error: type[GatewayError],
    field: str,
) -> None:
    with pytest.raises(error) as raised:
        create_sender(**changes)
    assert raised.value.field == field
    assert db.reading(programs.senders) == []


def test_p4_twilio_may_answer_on_a_toll_free_number(db: Database, create_sender: Callable[..., int]) -> None:
    create_sender(address="+18335550123", answers="twilio")
    assert the_sender(db).answers == Answers.TWILIO


def test_an_address_is_taken_once(create_sender: Callable[..., int]) -> None:
    create_sender()
    with pytest.raises(Conflict) as raised:
        create_sender(address="+49 1573 5980000")
    assert raised.value.field == "address"


def test_the_senders_of_one_program(
    db: Database, create: Callable[..., int], create_sender: Callable[..., int]
) -> None:
    create_sender()
    other = create(name="Other")
    create_sender(program_id=other, address="12345")
    assert [sender.address for sender in db.reading(programs.senders)] == ["+4915735980000", "12345"]
    assert [sender.address for sender in db.reading(programs.senders, other)] == ["12345"]

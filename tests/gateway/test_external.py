"""Lists of opt-outs: an import takes out and never opens, an export can be imported again."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway import audit, contacts, external, optouts
from gateway.contacts import Line
from gateway.db import Database
from gateway.errors import BadInput, NotFound
from gateway.external import Imported
from gateway.models import Category, Scope, Source
from gateway.optouts import Signal

ANNA, BERT, CARA = "+4915123456781", "+4915123456782", "+4915123456783"
UNKNOWN_COUNTRY = "+88351000000000"


@pytest.fixture
def take_in(db: Database, now: datetime) -> Callable[..., Imported]:
    usual = {"file": "old.csv", "source_note": "old CRM", "actor": "cli", "now": now}

    def run(*numbers: str | None, **changes: Any) -> Imported:
        lines = [Line(row, number, None if number else "bad") for row, number in enumerate(numbers, 2)]
        return db.writer.run(external.import_lines, lines, **(usual | changes))

    return run


def is_out(db: Database, number: str, program_id: int | None = None) -> bool:
    return db.reading(optouts.is_out, number, Category.MARKETING, program_id)


def test_p11_an_import_takes_out_whom_it_can_read(db: Database, take_in: Callable[..., Imported]) -> None:
    assert take_in(ANNA, None, BERT, ANNA) == Imported(added=2, already_out=1)
    assert (is_out(db, ANNA), is_out(db, BERT), is_out(db, CARA)) == (True, True, False)


def test_where_it_came_from_is_kept(db: Database, take_in: Callable[..., Imported], now: datetime) -> None:
    take_in(ANNA, BERT)
    [row] = db.reading(external.of_number, BERT)
    assert (row.source, row.cause, row.rule) == (Source.IMPORT, "import:old CRM", "import:old.csv:3")
    assert (row.scope, row.country, row.since) == (Scope.MARKETING, "DE", now)
    [event] = db.reading(lambda connection: list(audit.read(connection, number=BERT)))
    assert (event.action, event.actor, event.cause) == ("opt_out.recorded", "cli", "import:old CRM")


def test_p7_an_import_never_opens_anybody(db: Database, take_in: Callable[..., Imported], now: datetime) -> None:
    signal = Signal(now, Source.REPLY, "inbound:SM1", "stop")
    db.writer.run(optouts.record, ANNA, Scope.MARKETING, signal)
    assert take_in(BERT, ANNA) == Imported(added=1, already_out=1)
    [row] = db.reading(external.of_number, ANNA)
    assert (row.cause, row.lifted_at) == ("inbound:SM1", None)


@pytest.mark.parametrize(("age", "opens"), [(timedelta(minutes=-1), False), (timedelta(minutes=1), True)])
def test_p7_only_a_newer_signal_opens_what_was_imported(
    db: Database, take_in: Callable[..., Imported], now: datetime, age: timedelta, opens: bool
) -> None:
    take_in(ANNA)
    db.writer.run(optouts.lift, ANNA, Signal(now + age, Source.REPLY, "inbound:SM2", "start"))
    assert is_out(db, ANNA) is not opens


def test_an_import_for_a_program(
    db: Database, take_in: Callable[..., Imported], make_program: Callable[..., int]
) -> None:
    program_id = make_program()
    take_in(ANNA, program_id=program_id)
    [row] = db.reading(external.of_number, ANNA)
    assert row.heard_by_program_id == program_id
    assert is_out(db, ANNA, program_id)
    with pytest.raises(NotFound) as raised:
        take_in(BERT, program_id=999)
    assert raised.value.field == "program_id"
    assert not is_out(db, BERT)


def test_a_number_of_no_country_is_taken_out_too(db: Database, take_in: Callable[..., Imported]) -> None:
    take_in(UNKNOWN_COUNTRY)
    [row] = db.reading(external.of_number, UNKNOWN_COUNTRY)
    assert row.country == "ZZ"
    assert is_out(db, UNKNOWN_COUNTRY)


@pytest.mark.parametrize(("note", "fits"), [("", False), ("x" * 70, True), ("x" * 71, False)])
def test_an_import_says_where_it_comes_from(take_in: Callable[..., Imported], note: str, fits: bool) -> None:
    if fits:
        assert take_in(ANNA, source_note=note).added == 1
        return
    with pytest.raises(BadInput) as raised:
        take_in(ANNA, source_note=note)
    assert raised.value.field == "source_note"


def test_a_long_file_name_keeps_its_end(db: Database, take_in: Callable[..., Imported]) -> None:
    take_in(ANNA, file="x" * 300 + ".csv")
    [row] = db.reading(external.of_number, ANNA)
    assert row.rule.endswith("x.csv:2")
    assert len(row.rule) <= 120


def test_one_number_on_somebodys_word(db: Database, now: datetime, make_program: Callable[..., int]) -> None:
    told = {"note": "called us", "actor": "key:anna", "now": now}
    assert db.writer.run(external.add, ANNA, **told).is_new
    assert not db.writer.run(external.add, ANNA, **told).is_new
    [row] = db.reading(external.of_number, ANNA)
    assert (row.source, row.cause, row.scope) == (Source.API, "api:called us", Scope.MARKETING)
    with pytest.raises(BadInput):
        db.writer.run(external.add, BERT, **(told | {"note": " "}))
    with pytest.raises(NotFound):
        db.writer.run(external.add, BERT, program_id=7, **told)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_of_ones_own(db: Database, now: datetime, make_program: Callable[..., int], scope: Scope) -> None:
    program_id = make_program()
    db.writer.run(external.add, ANNA, note="letter", scope=scope, program_id=program_id, actor="key:anna", now=now)
    [row] = db.reading(external.of_number, ANNA)
    assert row.scope == scope
    assert row.program_id == (program_id if scope is Scope.PROGRAM else None)


def test_the_export_holds_whoever_is_out(db: Database, take_in: Callable[..., Imported], now: datetime) -> None:
    take_in(ANNA, BERT)
    db.writer.run(optouts.lift, ANNA, Signal(now + timedelta(hours=1), Source.REPLY, "inbound:SM2", "start"))
    out = io.StringIO()
    assert db.reading(external.export, out) == 1
    [row] = csv.DictReader(io.StringIO(out.getvalue()))
    assert (row["number"], row["scope"], row["since"]) == (BERT, "marketing", now.isoformat())
    assert (row["source"], row["rule"], row["lifted_at"]) == ("import", "import:old.csv:3", "")
    everything = io.StringIO()
    assert db.reading(external.export, everything, lifted_too=True) == 2
    assert (now + timedelta(hours=1)).isoformat() in everything.getvalue()


def test_an_export_runs_nothing_in_a_spreadsheet(db: Database, now: datetime) -> None:
    """A rule names the advertised word, and a marketer may have typed anything."""
    signal = Signal(at=now, source=Source.REPLY, cause="inbound:SM1", rule="=1+1")
    db.writer.run(optouts.record, "+4915735981001", Scope.MARKETING, signal)
    out = io.StringIO()
    db.reading(external.export, out)
    (row,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert (row["rule"], row["number"]) == ("'=1+1", "+4915735981001")


def test_an_export_can_be_imported(db: Database, take_in: Callable[..., Imported]) -> None:
    take_in(ANNA, BERT)
    out = io.StringIO()
    db.reading(external.export, out)
    out.seek(0)
    assert [line.number for line in contacts.read(out, None)] == [ANNA, BERT]


def test_the_opt_outs_of_a_number_nobody_knows(db: Database) -> None:
    assert db.reading(external.of_number, CARA) == []

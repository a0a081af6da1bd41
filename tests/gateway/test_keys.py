"""API keys: shown once, kept hashed, ended at once."""

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import keys
from gateway.db import Database
from gateway.errors import BadInput, NotFound
from gateway.keys import Key
from gateway.models import ApiKey, AuditEvent, Role

api_keys = ApiKey.__table__  # type: ignore[attr-defined]
events = AuditEvent.__table__  # type: ignore[attr-defined]


def make(db: Database, now: datetime, name: str = "shop", role: Role = Role.MARKETER) -> str:
    return db.writer.run(keys.create, name, role, now)


def rows(db: Database, table: sa.Table) -> list[dict[str, Any]]:
    return db.reading(lambda c: [dict(row._mapping) for row in c.execute(sa.select(table).order_by(table.c.id))])


def test_a_new_key_is_found_by_what_was_shown(db: Database, now: datetime) -> None:
    plain = make(db, now)
    assert db.reading(keys.find, plain) == Key(1, "shop", Role.MARKETER)


def test_a_key_has_256_random_bits_behind_its_prefix(db: Database, now: datetime) -> None:
    first, second = make(db, now), make(db, now)
    assert first.startswith("optout_")
    assert len(first) == len("optout_") + 43
    assert first != second


def test_the_key_itself_is_kept_nowhere(db: Database, now: datetime) -> None:
    plain = make(db, now)
    kept = str(rows(db, api_keys)) + str(rows(db, events))
    assert plain not in kept
    assert plain.removeprefix("optout_") not in kept


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_name_must_say_something_and_fit(db: Database, now: datetime, name: str) -> None:
    with pytest.raises(BadInput) as refused:
        make(db, now, name)
    assert refused.value.field == "name"


def test_the_longest_name_fits(db: Database, now: datetime) -> None:
    assert db.reading(keys.find, make(db, now, "x" * 80)) is not None


@pytest.mark.parametrize("presented", ["", "optout_", "optout_" + "a" * 43, "é", "x" * 10_000, "\0"])
def test_what_was_never_made_is_not_found(db: Database, now: datetime, presented: str) -> None:
    make(db, now)
    assert db.reading(keys.find, presented) is None


def test_a_key_is_found_only_as_it_was_written(db: Database, now: datetime) -> None:
    plain = make(db, now)
    assert db.reading(keys.find, plain[:-1]) is None
    assert db.reading(keys.find, plain + " ") is None
    assert db.reading(keys.find, plain.removeprefix("optout_")) is None


def test_a_revoked_key_is_not_found_by_secret_or_id(db: Database, now: datetime) -> None:
    plain = make(db, now)
    assert db.reading(keys.by_id, 1) == Key(1, "shop", Role.MARKETER)
    assert db.writer.run(keys.revoke, "shop", now) == 1
    assert db.reading(keys.find, plain) is None
    assert db.reading(keys.by_id, 1) is None


def test_revoking_by_id_spares_others_of_the_name(db: Database, now: datetime) -> None:
    first, second = make(db, now), make(db, now)
    assert db.writer.run(keys.revoke, 1, now) == 1
    assert db.reading(keys.find, first) is None
    assert db.reading(keys.find, second) is not None


def test_revoking_by_name_ends_all_of_the_name(db: Database, now: datetime) -> None:
    make(db, now), make(db, now), make(db, now, "other")
    assert db.writer.run(keys.revoke, "shop", now) == 2
    assert [row["revoked_at"] is None for row in rows(db, api_keys)] == [False, False, True]


@pytest.mark.parametrize("wanted", ["nobody", "99", 99, "²", "9" * 30])
def test_revoking_nothing_says_so(db: Database, now: datetime, wanted: str | int) -> None:
    make(db, now)
    with pytest.raises(NotFound):
        db.writer.run(keys.revoke, wanted, now)


def test_a_key_is_revoked_once(db: Database, now: datetime) -> None:
    make(db, now)
    db.writer.run(keys.revoke, "shop", now)
    with pytest.raises(NotFound):
        db.writer.run(keys.revoke, "shop", now)


def test_making_and_revoking_are_audit_events(db: Database, now: datetime) -> None:
    make(db, now, role=Role.AUDITOR)
    db.writer.run(keys.revoke, "shop", now)
    told = [(event["action"], event["cause"], event["details"]) for event in rows(db, events)]
    about = {"name": "shop", "role": "auditor"}
    assert told == [("key.created", "key:1", about), ("key.revoked", "key:1", about)]


@pytest.mark.parametrize(
    ("has", "wanted", "may"),
    [
        (Role.MARKETER, Role.MARKETER, True),
        (Role.MARKETER, Role.AUDITOR, False),
        (Role.MARKETER, Role.ADMIN, False),
        (Role.AUDITOR, Role.AUDITOR, True),
        (Role.AUDITOR, Role.MARKETER, False),
        (Role.AUDITOR, Role.ADMIN, False),
        (Role.ADMIN, Role.MARKETER, True),
        (Role.ADMIN, Role.AUDITOR, True),
        (Role.ADMIN, Role.ADMIN, True),
    ],
)
def test_what_a_role_reaches(has: Role, wanted: Role, may: bool) -> None:
    assert keys.allows(Key(1, "k", has), wanted) is may

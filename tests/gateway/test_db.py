import asyncio
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from gateway import audit
from gateway.db import Database, Transaction
from gateway.errors import DatabaseAway, StatementFailed
from gateway.migrations import upgrade
from gateway.optouts import QUEUE_LOCK, SHARED
from gateway.settings import Settings, load
from tests.gateway.helpers import actions, held_up

AT = datetime(2026, 1, 1, tzinfo=UTC)


def note(tx: Transaction, word: str) -> str:
    audit.append(tx, word, at=AT, actor="test")
    return word


def fail(tx: Transaction, word: str) -> None:
    note(tx, word)
    raise ValueError(word)


class TestWriter:
    def test_answers_after_the_commit(self, db: Database) -> None:
        assert db.writer.run(note, "one") == "one"
        assert actions(db) == ["one"]

    def test_a_failing_verb_leaves_nothing_and_spares_its_neighbours(self, db: Database) -> None:
        """Held up by one slow verb, the others gather into one batch."""
        outcomes: list[str] = []

        def attempt(verb: object, word: str) -> None:
            try:
                outcomes.append(db.writer.run(verb, word))  # type: ignore[arg-type]
            except ValueError as error:
                outcomes.append(f"failed {error}")

        callers = [
            threading.Thread(target=attempt, args=(verb, word))
            for verb, word in [(note, "a"), (fail, "bad"), (note, "b")]
        ]
        with held_up(db):
            for caller in callers:
                caller.start()
            while db.writer._waiting.qsize() < 3:
                time.sleep(0.001)
        for caller in callers:
            caller.join(10)
        assert sorted(outcomes) == ["a", "b", "failed bad"]
        assert sorted(actions(db)) == ["a", "b"]

    def test_its_errors_hold_no_values(self, db: Database) -> None:
        def bad(tx: Transaction) -> None:
            tx.execute(sa.text("INSERT INTO nowhere VALUES (:n)"), {"n": "+4915735980001"})

        with pytest.raises(Exception) as caught:
            db.writer.run(bad)
        assert "15735980001" not in repr(caught.value) + str(caught.value.__cause__)

    def test_too_many_waiting_is_refused_at_once(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.writer.MOST_WAITING", -1)
        with pytest.raises(DatabaseAway):
            db.writer.run(note, "one")

    def test_a_withdrawn_verb_is_not_run(self, db: Database) -> None:
        """The webhook has answered 503 by then; Twilio will come again."""

        async def withdraw() -> None:
            with held_up(db):
                late = db.writer.submit(note, "late")
                late.cancel()

        asyncio.run(withdraw())
        db.writer.run(note, "next")
        assert actions(db) == ["next"]


class TestReading:
    def test_readers_cannot_write(self, db: Database) -> None:
        with pytest.raises(Exception, match=r"(?i)readonly|read-only"):
            db.reading(lambda connection: connection.exec_driver_sql("DELETE FROM workers"))


class TestAway:
    def test_no_server_is_said_in_under_two_seconds(self) -> None:
        away = Database(load(database_url="postgresql://nobody@127.0.0.1:1/none"))
        start = time.monotonic()
        with pytest.raises(DatabaseAway):
            away.writer.run(note, "one")
        with pytest.raises(DatabaseAway):
            away.reading(lambda connection: connection.exec_driver_sql("SELECT 1"))
        assert time.monotonic() - start < 4
        away.close()

    def test_a_connection_that_died_while_idle_is_replaced(self, settings: Settings) -> None:
        db = Database(settings)
        db.writer.run(note, "before")
        if not settings.is_sqlite:
            with db.engine.connect() as other:
                other.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        assert db.writer.run(note, "after") == "after"
        assert actions(db) == ["before", "after"]
        db.close()


class TestFrozen:
    def test_a_frozen_process_does_not_hold_up_the_others_for_long(self, settings: Settings) -> None:
        """It holds the queue's lock in an open transaction; PostgreSQL ends that after 3 s."""
        if settings.is_sqlite:
            pytest.skip("one machine, one writer: a frozen one is waited for with busy_timeout")
        frozen, db = Database(settings), Database(settings)
        with frozen.engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(QUEUE_LOCK)))
            waits = 0
            while True:
                try:
                    db.writer.run(lambda tx: tx.execute(SHARED))
                    break
                except DatabaseAway:
                    waits += 1
                    assert waits < 8
            assert waits >= 1
            connection.invalidate()
        frozen.close()
        db.close()

    def test_the_values_of_a_failing_row_are_not_told(self, db: Database) -> None:
        def bad(tx: Transaction) -> None:
            tx.execute(
                sa.text("INSERT INTO programs (name, contact) VALUES (:name, :secret)"),
                {"name": "x", "secret": "my secret +4915735981001"},
            )

        with pytest.raises(StatementFailed) as caught:
            db.writer.run(bad)
        told = "".join(traceback.format_exception(caught.value))
        assert "secret +49" not in told


class TestMigrations:
    def test_the_schema_is_the_models(self, db: Database) -> None:
        def differences(connection: sa.Connection) -> list[object]:
            return list(compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), SQLModel.metadata))

        # SQLite's expression index cannot be reflected; Alembic says so in a warning.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert db.reading(differences) == []

    def test_running_them_again_changes_nothing(self, settings: Settings) -> None:
        upgrade(settings)
        upgrade(settings)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_events SET actor = 'x'",
            "DELETE FROM audit_events",
            "TRUNCATE audit_events",
            "INSERT OR REPLACE INTO audit_events SELECT id, at, 'x', 'x', number, program_id, cause, details "
            "FROM audit_events",
        ],
    )
    def test_audit_events_are_append_only(self, db: Database, statement: str) -> None:
        if statement.startswith("TRUNCATE" if db.settings.is_sqlite else "INSERT OR REPLACE"):
            pytest.skip("the other database's own statement")
        db.writer.run(note, "one")

        def tamper(tx: Transaction) -> None:
            tx.connection.exec_driver_sql(statement)

        with pytest.raises(Exception, match="append-only"):
            db.writer.run(tamper)
        assert actions(db) == ["one"]

    def test_a_new_file_is_wal_and_full(self, tmp_path: Path) -> None:
        settings = load(database_url=f"sqlite:///{tmp_path}/x.db")
        upgrade(settings)
        db = Database(settings)

        def pragmas(connection: sa.Connection) -> list[object]:
            return [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]

        assert db.reading(pragmas) == ["wal", 2]
        db.close()


def _ours(name: str | None, kind: str, *rest: object) -> bool:
    """The job engine's tables share the SQLite file and are its own business."""
    return kind != "table" or name in SQLModel.metadata.tables


OPTIONS = {"include_name": _ours, "compare_type": True}

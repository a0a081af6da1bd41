"""What tests share: a fresh database on SQLite and on a real PostgreSQL, a fixed time, programs and senders.

`TEST_DATABASE_URL` names a PostgreSQL to use instead of the one that pip brings; its user must be allowed to
create databases.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import jobs
from gateway.db import Database, Transaction
from gateway.models import Program, Sender
from gateway.settings import Settings, load
from tests.postgres import Cluster

ACCOUNT = "AC" + "a" * 32
TOKEN = "test-auth-token"
_names = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with Cluster.running() as cluster:
        with_template(cluster)
        yield cluster


def with_template(cluster: Cluster) -> None:
    """A migrated database that every test's own is copied from: 40 ms instead of 400."""
    jobs.migrate(load(database_url=cluster.create("template_optout")))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    jobs.migrate(load(database_url=f"sqlite:///{path}"))
    # Everything out of the write-ahead log, so that copying the one file copies the database.
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        connection.engine.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings over a fresh, migrated, empty database of either kind."""
    if request.param == "sqlite":
        path = tmp_path / "optout.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        url = f"sqlite:///{path}"
    else:
        cluster = request.getfixturevalue("postgres")
        url = cluster.create(f"test_{os.getpid()}_{next(_names)}", template="template_optout")
    return load(
        database_url=url,
        public_url="https://optout.example",
        secret_key="test-secret",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        # A busy machine may take longer than a webhook should; tests of the timeout set their own.
        database_timeout=15,
    )


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    yield database
    database.close()


@pytest.fixture
def now() -> datetime:
    """A Monday noon in Germany, morning in New York: no quiet hours in either."""
    return datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


@pytest.fixture
def make_program(db: Database, now: datetime) -> Callable[..., int]:
    """Inserts a program; keyword arguments override its columns. Returns its id."""

    def make(name: str = "Acme", **columns: object) -> int:
        values = {
            "name": name,
            "contact": "help@acme.example",
            "language": "en",
            "default_country": "DE",
            "offer_countries": "",
            "advertised": "",
            "created_at": now,
            **columns,
        }
        return db.writer.run(_insert, Program, values)

    return make


@pytest.fixture
def make_sender(db: Database, now: datetime) -> Callable[..., int]:
    """Inserts a sender of a program. Returns its id."""

    def make(program_id: int, address: str = "+4915735980000", **columns: object) -> int:
        values = {
            "program_id": program_id,
            "address": address,
            "answers": "gateway",
            "can_receive": True,
            "created_at": now,
            **columns,
        }
        return db.writer.run(_insert, Sender, values)

    return make


def _insert(tx: Transaction, model: type[Program] | type[Sender], values: dict[str, object]) -> int:
    table = model.__table__  # type: ignore[union-attr]
    return int(tx.execute(table.insert().returning(table.c.id), values).scalar_one())

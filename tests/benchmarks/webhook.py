"""Inbound webhooks against an endpoint that only parses the form: `python -m tests.benchmarks.webhook`.

sqlite_vs_bare                  requests a second of ours ÷ of the bare endpoint; synchronous=FULL
postgresql_vs_bare              the same on a durable PostgreSQL
sqlite_vs_session_per_request   against one ORM session per request in a pool of 40 threads
sqlite_p99_ms                   at 32 connections
…_stops_vs_bare                 when every text is a STOP (row, opt-out, confirmation, two updates)

Every text has its own MessageSid and number; one in ten is a STOP.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial

from tests.benchmarks import servers
from tests.benchmarks.common import Figures, main
from tests.benchmarks.forms import inbound_requests
from tests.benchmarks.load import Load, post_all
from tests.postgres import Cluster

SIZE, QUICK_SIZE = 10_000, 1_000
STOPS = 0.1


def measure(cluster: Cluster, quick: bool) -> Figures:
    """One round over fresh databases; the bare endpoint's turn comes before and after the others."""
    size = QUICK_SIZE if quick else SIZE
    with _running(cluster) as ports:
        for port in ports.values():
            _post(port, 200, STOPS)
        bare = _post(ports["bare"], size, STOPS).per_second
        sqlite = _post(ports["sqlite"], size, STOPS)
        postgresql = _post(ports["postgresql"], size, STOPS)
        # Some 400 a second; a full load would take half a minute.
        session = _post(ports["session"], size // 8, STOPS)
        stops = {name: _post(ports[name], size // 2, 1.0).per_second for name in ("sqlite", "postgresql")}
        bare = (bare + _post(ports["bare"], size, STOPS).per_second) / 2
    return {
        "sqlite_vs_bare": sqlite.per_second / bare,
        "postgresql_vs_bare": postgresql.per_second / bare,
        "sqlite_vs_session_per_request": sqlite.per_second / session.per_second,
        "sqlite_p99_ms": sqlite.p99_ms,
        "postgresql_p99_ms": postgresql.p99_ms,
        "sqlite_stops_vs_bare": stops["sqlite"] / bare,
        "postgresql_stops_vs_bare": stops["postgresql"] / bare,
        "bare_per_second": bare,
        "sqlite_per_second": sqlite.per_second,
        "postgresql_per_second": postgresql.per_second,
        "session_per_second": session.per_second,
    }


def _post(port: int, count: int, stops: float) -> Load:
    return post_all(port, inbound_requests(count, stops=stops))


@contextlib.contextmanager
def _running(cluster: Cluster) -> Iterator[dict[str, int]]:
    """All four servers over databases of their own; idle ones cost nothing. Gives their ports by name."""
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        start = stack.enter_context
        yield {
            "bare": start(servers.running("bare", f"sqlite:///{home}/none.db")),
            "sqlite": start(servers.running("gateway", servers.on_sqlite(home))),
            "postgresql": start(servers.running("gateway", servers.on_postgresql(cluster))),
            "session": start(servers.running("session", servers.on_sqlite(home))),
        }


if __name__ == "__main__":
    with Cluster.running(durable=True) as cluster:
        main("webhook", partial(measure, cluster))

"""Status callbacks against an endpoint that only parses the form: `python -m tests.benchmarks.status`.

sqlite_vs_bare       callbacks a second of ours ÷ of the bare endpoint; synchronous=FULL
postgresql_vs_bare   the same on a durable PostgreSQL

Every callback tells of another text that it was delivered: one update, one audit event.
"""

import tempfile
from functools import partial

from tests.benchmarks import servers
from tests.benchmarks.common import Figures, main
from tests.benchmarks.forms import settings, status_requests
from tests.benchmarks.load import Load, post_all
from tests.benchmarks.texts import put_sent
from tests.postgres import Cluster

SIZE, QUICK_SIZE = 10_000, 1_000
WARM_UP = 200


def measure(cluster: Cluster, quick: bool) -> Figures:
    """One round over fresh databases; the bare endpoint's turn comes before and after the others."""
    size = QUICK_SIZE if quick else SIZE
    with tempfile.TemporaryDirectory() as home:
        urls = {"sqlite": servers.on_sqlite(home), "postgresql": servers.on_postgresql(cluster)}
        with servers.running("bare", urls["sqlite"]) as bare_port:
            before = _bare(bare_port, size)
            ours = {name: _ours(url, size) for name, url in urls.items()}
            limit = (before + _bare(bare_port, size)) / 2
    ratios = {f"{name}_vs_bare": load.per_second / limit for name, load in ours.items()}
    p99s = {f"{name}_p99_ms": load.p99_ms for name, load in ours.items()}
    return ratios | p99s | {"bare_per_second": limit}


def _bare(port: int, size: int) -> float:
    post_all(port, status_requests(dict.fromkeys(range(1, 1 + WARM_UP), "SM")))
    return post_all(port, status_requests({id_: f"SM{id_:032x}" for id_ in range(1, 1 + size)})).per_second


def _ours(database_url: str, size: int) -> Load:
    sids = put_sent(settings(database_url), first=1, count=WARM_UP + size)
    requests = status_requests(sids)
    with servers.running("gateway", database_url) as port:
        post_all(port, requests[:WARM_UP])
        return post_all(port, requests[WARM_UP:])


if __name__ == "__main__":
    with Cluster.running(durable=True) as cluster:
        main("status", partial(measure, cluster))

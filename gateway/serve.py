"""`optout serve`: the web application under uvicorn, with a worker in the same process unless told otherwise."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
import uvicorn
from starlette.applications import Starlette

from gateway import jobs, worker
from gateway.app import create_app
from gateway.db import Database, tune_gc
from gateway.logs import configure
from gateway.migrations import require_newest
from gateway.settings import Settings

log = structlog.get_logger()


def serve(settings: Settings, *, host: str, port: int, with_worker: bool = True) -> None:
    """Serves until SIGTERM or Ctrl-C. The embedded database is migrated first; PostgreSQL by `optout migrate`."""
    configure(settings)
    if settings.is_sqlite:
        jobs.migrate(settings)
    else:
        require_newest(settings)
    log.info("serving", at=f"http://{host}:{port}", console=f"{settings.public_url}/console", worker=with_worker)
    server(settings, host=host, port=port, with_worker=with_worker).run()


def server(settings: Settings, *, host: str, port: int, with_worker: bool) -> uvicorn.Server:
    """A uvicorn server over a fresh application, not yet running."""
    db = worker.open_database(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _beside(settings, db, with_worker):
            yield
        await asyncio.to_thread(db.close)

    config = uvicorn.Config(
        create_app(settings, db, lifespan=lifespan),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        # Paths hold link tokens, and those are the keys to an opt-out.
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=10,
        log_config=None,
    )
    return uvicorn.Server(config)


@contextlib.asynccontextmanager
async def _beside(settings: Settings, db: Database, with_worker: bool) -> AsyncIterator[None]:
    if with_worker:
        async with worker.running(settings, db):
            yield
    else:
        # A worker does this itself, when its job engine is there too.
        tune_gc()
        yield

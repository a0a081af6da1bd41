"""`create_app`: the routes, the middleware, what happens at start and stop."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.db import Database
from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.web import api, console, headers, recipients, webhooks
from gateway.web.context import Context, context, utc_now

log = structlog.get_logger()
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(
    settings: Settings,
    db: Database,
    *,
    lifespan: Lifespan | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Starlette:
    """The whole web application over an open database. `lifespan` runs a worker beside it (`optout serve`)."""
    app = Starlette(
        routes=[
            *webhooks.routes,
            *recipients.routes,
            *api.routes,
            *console.routes,
            Route("/healthz", _alive),
            Route("/readyz", _ready),
            Mount("/static", StaticFiles(packages=[("gateway", "static")]), name="static"),
        ],
        middleware=headers.middleware(settings),
        exception_handlers={GatewayError: _tell},  # type: ignore[dict-item]
        lifespan=lifespan,
    )
    app.state.context = Context(settings, db, now)
    return app


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _ready(request: Request) -> Response:
    """503 while the database is away (DatabaseAway answers so by itself)."""
    ctx = context(request)
    await ctx.in_time(ctx.db.read(lambda connection: connection.exec_driver_sql("SELECT 1")))
    return PlainTextResponse("ready")


async def _tell(request: Request, error: GatewayError) -> Response:
    """Every expected error as JSON that says what and where, and whether to try again."""
    if error.log:
        # Not the path: it may be a link, and that is the key to an opt-out.
        log.warning("request failed", method=request.method, error=error.message)
    headers = {"Retry-After": "5"} if error.retry else None
    return JSONResponse(error.as_json(), status_code=error.status, headers=headers)

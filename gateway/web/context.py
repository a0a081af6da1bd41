"""What every handler needs, and how it gets it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from gateway.db import Database
from gateway.settings import Settings


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, database and clock of one application; tests set the clock."""

    settings: Settings
    db: Database
    now: Callable[[], datetime] = utc_now


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found

"""What every handler needs, and how it gets it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from starlette.requests import Request

from gateway.db import Database
from gateway.errors import DatabaseAway
from gateway.settings import Settings

R = TypeVar("R")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, database and clock of one application; tests set the clock."""

    settings: Settings
    db: Database
    now: Callable[[], datetime] = utc_now

    async def in_time(self, work: Awaitable[R]) -> R:
        """What the database answers. A verb that takes too long is withdrawn, and DatabaseAway raised."""
        try:
            async with asyncio.timeout(self.settings.database_timeout):
                return await work
        except TimeoutError:
            raise DatabaseAway("The database did not answer in time.") from None


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found

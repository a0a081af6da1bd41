"""How often one address may knock. In memory, per process: it slows guessing down, the keys do the rest."""

import ipaddress
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request

from gateway.errors import NotAllowed

# Thousands of phones share one address of a mobile network, and all may tap within a minute of a campaign.
# At this rate one address needs 115 days for the 10^6 guesses that expect 0.016 hits (gateway.links).
LINK = parse("600/minute")
LOGIN = parse("10/minute")


class TooMany(NotAllowed):
    """Too many requests from one address; `retry_after` is in seconds."""

    status = 429
    retry = True

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many requests; try again in {retry_after} s.")
        self.retry_after = retry_after


def check(request: Request, limit: RateLimitItem, name: str) -> None:
    """Counts this request against the limit of that name. Raises TooMany."""
    limiter, address = _limiter(request), _address(request)
    if not limiter.hit(limit, name, address):
        reset = limiter.get_window_stats(limit, name, address).reset_time
        raise TooMany(max(1, int(reset - time.time()) + 1))


def _limiter(request: Request) -> SlidingWindowCounterRateLimiter:
    """One per application, made at its first use.

    Counted windows: the moving window of limits 5.8 keeps a list for every address it ever saw.
    """
    state = request.app.state
    if not hasattr(state, "limiter"):
        state.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    found: SlidingWindowCounterRateLimiter = state.limiter
    return found


def _address(request: Request) -> str:
    """IPv6 by its /64, which is what one customer has; uvicorn has resolved trusted proxies already."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ipaddress.ip_network((address, 64), strict=False))

"""A sender's pace: a local token bucket, enough because one chunk per sender runs in the whole cluster."""

import asyncio


class Bucket:
    """Lets `rate` segments a second through, with at most one second's worth saved up; for one taker.

    A text longer than what is saved up leaves at once and puts the bucket into debt, so that no text waits
    in its claimer's hands for longer than those before it cost.
    """

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._filled_at = 0.0

    async def ready(self) -> None:
        """Waits until the debt is paid; at once when `rate` is None."""
        if self.rate is None:
            return
        self._fill(self.rate)
        while self._tokens <= 0:
            # At least a millisecond: a debt of rounding errors must not become a busy loop.
            await asyncio.sleep(max(-self._tokens / self.rate, 0.001))
            self._fill(self.rate)

    async def take(self, segments: int) -> None:
        """Waits until something may leave, and takes the segments."""
        await self.ready()
        self._tokens -= segments

    def _fill(self, rate: float) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(rate, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now

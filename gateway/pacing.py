"""A sender's pace: a local token bucket, enough because one chunk per sender runs in the whole cluster."""

import asyncio


class Bucket:
    """Lets `rate` segments a second through, with at most one second's worth saved up."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._filled_at = 0.0

    async def take(self, segments: int) -> None:
        """Waits until that many segments may leave; at once when `rate` is None."""
        if self.rate is None:
            return
        self._fill(self.rate)
        if self._tokens < segments:
            await asyncio.sleep((segments - self._tokens) / self.rate)
            self._fill(self.rate, most=max(self.rate, segments))
        self._tokens -= segments

    def _fill(self, rate: float, most: float | None = None) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(most or rate, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now

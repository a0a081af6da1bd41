"""Posts to the gateway: signed inbound texts and status callbacks.

The signature is made by the SDK's own validator, so that ours is checked against Twilio's code and not
against itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urldefrag

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from gateway.carrier.sandbox.config import SandboxConfig
from gateway.carrier.sandbox.store import Message
from gateway.segments import count

logger = logging.getLogger(__name__)

API_VERSION = "2010-04-01"
PLACE_FIELDS = tuple(f"{end}{part}" for end in ("From", "To") for part in ("City", "State", "Zip", "Country"))
TWILIO_PATIENCE = 15.0  # seconds, https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides

Job = Callable[[], Awaitable[None]]


class Lane:
    """Jobs done in the order they came, `workers` at a time."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._unfinished = 0

    @property
    def unfinished(self) -> int:
        return self._unfinished

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]

    def put(self, job: Job) -> None:
        self._unfinished += 1
        self._jobs.put_nowait(job)

    async def join(self) -> None:
        await self._jobs.join()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await job()
            except Exception as error:  # one bad text must not take a worker away from the others
                logger.warning("a webhook could not be posted: %s", type(error).__name__)
            finally:
                self._unfinished -= 1
                self._jobs.task_done()


class Postman:
    """Delivers signed posts. Inbound texts have a lane apart, so a STOP never waits behind callbacks."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._validator = RequestValidator(config.auth_token)
        self._session: aiohttp.ClientSession | None = None
        self.inbound = Lane(config.webhook_concurrency)
        self.callbacks = Lane(config.webhook_concurrency)

    @property
    def unfinished(self) -> int:
        return self.inbound.unfinished + self.callbacks.unfinished

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=2 * self._config.webhook_concurrency),
            timeout=aiohttp.ClientTimeout(total=TWILIO_PATIENCE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.inbound.start()
        self.callbacks.start()

    async def stop(self) -> None:
        await self.inbound.stop()
        await self.callbacks.stop()
        if self._session:
            await self._session.close()

    async def join(self) -> None:
        """Wait until everything queued so far has been delivered or given up."""
        await self.inbound.join()
        await self.callbacks.join()

    async def deliver(self, url: str, params: Mapping[str, str]) -> bool:
        """Post until answered with less than 500, retrying as configured. True if the answer was 2xx."""
        for attempt in range(self._config.webhook_retries + 1):
            if attempt:
                await asyncio.sleep(self._config.retry_pause * attempt)
            status = await self._post(url, params)
            if status is not None and status < 500:
                return 200 <= status < 300
        return False

    async def _post(self, url: str, params: Mapping[str, str]) -> int | None:
        """The HTTP status, or None where no answer came."""
        # The fragment carries Twilio's connection overrides (#rc=3) and is neither signed nor sent.
        target = urldefrag(url).url
        headers = {"X-Twilio-Signature": self._validator.compute_signature(target, params)}
        assert self._session is not None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            # encoded=True: what is signed must be the very characters that are requested.
            async with self._session.post(
                URL(target, encoded=True), data=params, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status
        return None


def inbound_params(account_sid: str, message: Message, opt_out_type: str | None) -> dict[str, str]:
    """The form of an inbound text, https://www.twilio.com/docs/messaging/guides/webhook-request."""
    params = _common(account_sid, message) | {
        "SmsMessageSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "NumMedia": "0",
        "NumSegments": str(count(message.body).segments),
    }
    params |= dict.fromkeys(PLACE_FIELDS, "")
    if opt_out_type:
        params["OptOutType"] = opt_out_type
    return params


def status_params(account_sid: str, message: Message, status: str) -> dict[str, str]:
    """The form of a status callback."""
    params = _common(account_sid, message) | {"MessageStatus": status, "SmsStatus": status}
    if message.error_code and status in {"undelivered", "failed"}:
        params["ErrorCode"] = str(message.error_code)
    return params


def _common(account_sid: str, message: Message) -> dict[str, str]:
    params = {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "From": message.sender,
        "To": message.to,
    }
    if message.service_sid:
        params["MessagingServiceSid"] = message.service_sid
    return params

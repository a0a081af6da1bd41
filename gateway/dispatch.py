"""Sending: claims permits, hands the texts to the carrier, settles what came of it.

One `Dispatcher` per process. Claiming goes on while texts are on their way, and answers are settled in
whatever group has gathered, so the database works beside the network instead of between.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from gateway import delivery, links, outbox
from gateway.carrier import (
    Carrier,
    CarrierError,
    ListedMessage,
    OutcomeUnknown,
    OutgoingText,
    RateLimited,
    Refused,
    Unreachable,
)
from gateway.db import Database
from gateway.delivery import Settled
from gateway.errors import DatabaseAway, StatementFailed
from gateway.models import State
from gateway.outbox import Permit
from gateway.pacing import Bucket
from gateway.settings import Settings

log = structlog.get_logger()

# A chunk is about 10 s of work; then others get their turn and a crash loses little bookkeeping.
CHUNK_SECONDS = 10.0
# A campaign's text that the carrier cannot deliver within an hour would arrive at another time of day.
CAMPAIGN_VALIDITY = 3600
UNREACHABLE_PAUSE = 2.0
# The carrier's clock and ours may differ; its list is to the second.
CLOCK_SKEW = timedelta(seconds=60)
LOOKS_AT_ONCE = 16


class Dispatcher:
    """Everything that talks to the carrier on behalf of the queue."""

    def __init__(self, db: Database, carrier: Carrier, settings: Settings, owner: str) -> None:
        self.db = db
        self.carrier = carrier
        self.settings = settings
        self.owner = owner
        self._slots = asyncio.Semaphore(settings.send_concurrency)
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._buckets: dict[int, Bucket] = {}
        self._settled: list[Settled] = []
        self._settling: asyncio.Task[None] | None = None

    async def dispatch(self, sender_id: int, rate: float | None, seconds: float = CHUNK_SECONDS) -> bool:
        """Sends due texts of one sender for about `seconds`; returns whether there may be more."""
        bucket = self._buckets.setdefault(sender_id, Bucket(rate))
        bucket.rate = rate
        until = _monotonic() + seconds
        under_way: set[asyncio.Task[None]] = set()
        more = True
        while more and _monotonic() < until:
            # Before the claim: what waits afterwards could outlast the time in which it may be sent.
            await bucket.ready()
            permits = await self._claim(sender_id)
            more = bool(permits)
            for permit in permits:
                await bucket.take(permit.segments)
                await self._start(permit, under_way)
        await self._finish(under_way)
        return more

    async def answer(self) -> int:
        """Sends the automatic replies that are due; returns how many."""
        permits = await self._claim(None)
        under_way: set[asyncio.Task[None]] = set()
        for permit in permits:
            await self._start(permit, under_way)
        await self._finish(under_way)
        return len(permits)

    async def reconcile(self) -> int:
        """Settles texts in doubt from the carrier's own list; returns how many were looked at.

        A listed text is adopted. One that is not listed goes back to the queue only after the grace,
        because the list may lag.
        """
        rows = await self.db.read(delivery.in_doubt, _now(), self.settings)
        by_address: dict[str, list[Any]] = {}
        for row in rows:
            by_address.setdefault(_address(row.channel, row.number), []).append(row)
        await asyncio.gather(*(self._look_up(to, texts) for to, texts in by_address.items()))
        return len(rows)

    async def _claim(self, sender_id: int | None) -> list[Permit]:
        return await self.db.writer.submit(
            outbox.claim,
            sender_id=sender_id,
            owner=self.owner,
            now=_now(),
            limit=self._batch(sender_id),
        )

    def _batch(self, sender_id: int | None) -> int:
        """No more than the sender can send in half a second: what is claimed is a STOP's residue."""
        rate = self._buckets[sender_id].rate if sender_id is not None else None
        return self.settings.claim_batch if rate is None else max(1, min(self.settings.claim_batch, int(rate / 2)))

    async def _start(self, permit: Permit, under_way: set[asyncio.Task[None]]) -> None:
        await self._slots.acquire()
        task = asyncio.create_task(self._send(permit))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    async def _finish(self, under_way: set[asyncio.Task[None]]) -> None:
        if under_way:
            await asyncio.gather(*under_way)
        while self._settling is not None:
            await self._settling

    async def _send(self, permit: Permit) -> None:
        try:
            outcome = await self._hand_over(permit)
        finally:
            self._slots.release()
        if outcome is not None:
            self._settled.append(outcome)
            self._settling = self._settling or asyncio.create_task(self._settle())

    async def _hand_over(self, permit: Permit) -> Settled | None:
        """The outcome, or None when the text went back to the queue or is left to `reconcile`."""
        if (_now() - permit.claimed_at).total_seconds() > self.settings.send_within:
            # Others may be settling it as in doubt by now.
            return None
        if permit.expires_at is not None and permit.expires_at <= _now():
            return Settled(permit, State.CANCELLED)
        try:
            sent = await self.carrier.send(self._outgoing(permit))
        except RateLimited as error:
            await self._put_back(permit, error.retry_after, "rate limited")
        except Unreachable:
            await self._put_back(permit, UNREACHABLE_PAUSE, "carrier unreachable")
        except Refused as error:
            log.warning("text refused", message=permit.id, code=error.code, why=error.explanation)
            return Settled(permit, State.FAILED, error_code=error.code)
        except OutcomeUnknown as error:
            log.warning("outcome unknown", message=permit.id, why=error.cause)
            return Settled(permit, State.UNKNOWN)
        else:
            return Settled(permit, State.SENT, sid=sent.sid)
        return None

    async def _put_back(self, permit: Permit, seconds: float, why: str) -> None:
        now = _now()
        not_before = now + timedelta(seconds=seconds)
        try:
            await self.db.writer.submit(
                outbox.requeue, permit.id, permit.claimed_at, now=now, not_before=not_before, why=why
            )
        except DatabaseAway:
            log.warning("text left in doubt", message=permit.id, why="database away")

    async def _settle(self) -> None:
        """Writes down what has gathered, until nothing has."""
        try:
            while self._settled:
                outcomes, self._settled = self._settled, []
                await self._write_down(outcomes)
        finally:
            self._settling = None

    async def _write_down(self, outcomes: list[Settled]) -> None:
        """A known SID is not given up: the database is waited for, and a bad outcome spoils no other."""
        while True:
            try:
                await self.db.writer.submit(delivery.settle, outcomes, _now())
            except DatabaseAway:
                log.warning("outcomes not written down yet", count=len(outcomes), why="database away")
                await asyncio.sleep(UNREACHABLE_PAUSE)
            except StatementFailed as error:
                await self._write_down_apart(outcomes, error)
                return
            else:
                return

    async def _write_down_apart(self, outcomes: list[Settled], error: StatementFailed) -> None:
        if len(outcomes) == 1:
            log.error("text left in doubt", message=outcomes[0].permit.id, why=error.message)
            return
        for outcome in outcomes:
            await self._write_down([outcome])

    def _outgoing(self, permit: Permit) -> OutgoingText:
        return OutgoingText(
            to=_address(permit.channel, permit.number),
            body=permit.body,
            sender=None if permit.messaging_service_sid else _address(permit.channel, permit.sender),
            messaging_service_sid=permit.messaging_service_sid,
            status_callback=f"{self.settings.public_url}/twilio/status?m={permit.id}",
            validity_seconds=_validity(permit),
        )

    async def _look_up(self, to: str, texts: Sequence[Any]) -> None:
        """Settles the texts in doubt to one address."""
        first = min(text.created_at for text in texts)
        try:
            async with self._looks:
                listed = await self.carrier.list_sent(to, first - CLOCK_SKEW)
        except CarrierError as error:
            log.warning("cannot look up texts in doubt", count=len(texts), why=str(error))
            return
        taken = await self.db.read(delivery.known_sids, [message.sid for message in listed])
        free = [message for message in listed if message.sid not in taken]
        for text in texts:
            match = self._match(text, free)
            if match is not None:
                free.remove(match)
                await self._adopt(text, match)
            elif _now() - text.claimed_at > timedelta(seconds=self.settings.doubt_grace):
                now, why = _now(), "not in the carrier's list"
                await self.db.writer.submit(
                    outbox.requeue, text.id, text.claimed_at, now=now, not_before=now, why=why
                )

    def _match(self, text: Any, listed: Sequence[ListedMessage]) -> ListedMessage | None:
        """By its own link token; without a link by the very same body since it was written."""
        for message in listed:
            token = self._token(message.body)
            same = token == text.link_token if text.link_token else message.body == text.body
            if same and message.created_at >= text.created_at - CLOCK_SKEW:
                return message
        return None

    async def _adopt(self, text: Any, message: ListedMessage) -> None:
        log.info("text in doubt adopted", message=text.id, state=message.status)
        await self.db.writer.submit(
            delivery.record_status, text.id, message.sid, message.status, message.error_code, _now()
        )

    def _token(self, body: str) -> str | None:
        return links.find_token(body, link_url=self.settings.link_url, public_url=self.settings.public_url)


def _address(channel: str, number: str) -> str:
    """As the carrier writes it: `+49…`, `whatsapp:+49…`."""
    return number if channel == "sms" else f"{channel}:{number}"


def _validity(permit: Permit) -> int:
    """Seconds the carrier may take: a reply's own deadline (P4), so that its queue sends nothing late."""
    if permit.expires_at is None:
        return CAMPAIGN_VALIDITY
    return max(1, int((permit.expires_at - _now()).total_seconds()))


def _now() -> datetime:
    return datetime.now(UTC)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()

"""Campaign texts in the outbox for benchmarks: waiting to be sent, or sent and waiting for their status."""

from datetime import UTC, datetime

from gateway import outbox
from gateway.db import Database, Transaction
from gateway.models import Category, OutboundMessage, State
from gateway.settings import Settings
from tests.benchmarks.forms import sid

outbound = OutboundMessage.__table__  # type: ignore[attr-defined]
BODY = "Acme: 20 % off until Sunday. Stop: https://optout.example/u/a8Kd02mQxz"


def put_queued(settings: Settings, count: int) -> None:
    """So many texts of the first sender, due now."""
    _insert(settings, [_row(place) for place in range(count)])


def put_sent(settings: Settings, first: int, count: int) -> dict[int, str]:
    """So many texts that the carrier has taken, their ids from `first` on; gives the SID of each id."""
    sids = {first + place: sid() for place in range(count)}
    _insert(settings, [_row(id_) | {"id": id_, "state": State.SENT, "sid": sid_} for id_, sid_ in sids.items()])
    return sids


def _row(place: int) -> dict[str, object]:
    return outbox.row(
        program_id=1, sender_id=1, number=f"+49157{35000000 + place}", body=BODY, category=Category.MARKETING,
        kind="campaign", now=datetime.now(UTC),
    )  # fmt: skip


def _insert(settings: Settings, rows: list[dict[str, object]]) -> None:
    db = Database(settings)
    db.writer.run(_insert_rows, rows)
    db.close()


def _insert_rows(tx: Transaction, rows: list[dict[str, object]]) -> None:
    tx.execute(outbound.insert(), rows)

"""How far campaigns are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from gateway.campaigns.common import IS_OUT, ONE, OUR_RECIPIENTS, OUR_TEXTS, campaigns, found, outbound, recipients
from gateway.models import CampaignState, Program, State

programs = Program.__table__  # type: ignore[attr-defined]

UNSETTLED = (State.QUEUED, State.SENDING, State.UNKNOWN)
NEVER_LEAVES = (State.HELD, State.SUPPRESSED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is.

    `expanded` recipients have become texts or were skipped (`skipped_out`: they are out). `by_state` counts
    the texts, `segments` are those of all texts that left or may still leave.
    """

    id: int
    name: str
    state: CampaignState
    recipients: int
    expanded: int
    by_state: dict[str, int]
    skipped_out: int
    segments: int

    @property
    def settled(self) -> int:
        """Recipients for whom nothing more will happen by itself."""
        waiting = sum(self.by_state.get(state, 0) for state in UNSETTLED)
        return self.expanded - waiting

    @property
    def is_done(self) -> bool:
        """Nothing is left to expand, to send or to settle."""
        ended = self.state in (CampaignState.EXPANDED, CampaignState.CANCELLED)
        return ended and not any(self.by_state.get(state) for state in UNSETTLED)


def progress(connection: Connection, campaign_id: int) -> Progress:
    """How far the campaign is. Raises NotFound."""
    campaign = found(connection.execute(ONE, {"campaign": campaign_id}).first())
    by_state = {row.state.value: row.texts for row in connection.execute(BY_STATE, {"campaign": campaign_id})}
    # All texts of a campaign have one length (tokens are of one), so one row speaks for a million.
    each = connection.execute(ANY_SEGMENTS, {"campaign": campaign_id}).scalar() or 0
    return Progress(
        id=campaign.id,
        name=campaign.name,
        state=campaign.state,
        recipients=connection.execute(COUNT, {"campaign": campaign_id}).scalar_one(),
        expanded=campaign.skipped_out + sum(by_state.values()),
        by_state=by_state,
        skipped_out=campaign.skipped_out,
        segments=each * sum(texts for state, texts in by_state.items() if state not in NEVER_LEAVES),
    )


def listing(connection: Connection, limit: int = 50) -> Sequence[Row[Any]]:
    """The newest campaigns, with their program's name as `program`."""
    query = (
        select(campaigns, programs.c.name.label("program"))
        .join(programs, programs.c.id == campaigns.c.program_id)
        .order_by(campaigns.c.id.desc())
        .limit(limit)
    )
    return connection.execute(query).all()


def waiting(connection: Connection, campaign_id: int, now: datetime) -> tuple[int, datetime | None]:
    """How many queued texts wait for their hour (quiet hours), and when the first of them may leave."""
    row = connection.execute(WAITING, {"campaign": campaign_id, "now": now}).one()
    return row.texts, row.first


def out_of(connection: Connection, campaign_id: int) -> int:
    """How many recipients not yet expanded are out at this moment."""
    out: int = connection.execute(OUT, {"campaign": campaign_id}).scalar_one()
    return out


COUNT = select(func.count()).select_from(recipients).where(OUR_RECIPIENTS)
OUT = (
    select(func.count())
    .select_from(recipients)
    .join(campaigns, campaigns.c.id == recipients.c.campaign_id)
    .where(OUR_RECIPIENTS, recipients.c.id > campaigns.c.expanded_to, IS_OUT)
)
BY_STATE = select(outbound.c.state, func.count().label("texts")).where(OUR_TEXTS).group_by(outbound.c.state)
ANY_SEGMENTS = select(outbound.c.segments).where(OUR_TEXTS).limit(1)
WAITING = select(func.count().label("texts"), func.min(outbound.c.send_after).label("first")).where(
    OUR_TEXTS, outbound.c.state == State.QUEUED, outbound.c.send_after > bindparam("now")
)

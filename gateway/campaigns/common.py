"""What the rooms of a campaign share: its tables, its row, its line in the log."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from gateway import audit, optouts
from gateway.db import Transaction
from gateway.errors import NotFound
from gateway.models import Campaign, CampaignRecipient, OutboundMessage

campaigns = Campaign.__table__  # type: ignore[attr-defined]
recipients = CampaignRecipient.__table__  # type: ignore[attr-defined]
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]

ONE = select(campaigns).where(campaigns.c.id == bindparam("campaign"))
# SQL: of this campaign; the recipient is out of it.
OUR_RECIPIENTS = recipients.c.campaign_id == bindparam("campaign")
OUR_TEXTS = outbound.c.campaign_id == bindparam("campaign")
IS_OUT = optouts.stops(recipients.c.number, campaigns.c.category, campaigns.c.program_id)


def found(campaign: Any) -> Any:
    """The row itself. Raises NotFound for None."""
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def tell(
    tx: Transaction,
    action: str,
    campaign_id: int,
    program_id: int,
    actor: str,
    now: datetime,
    number: str | None = None,
    **details: Any,
) -> None:
    """Adds an event whose cause is the campaign, about one number where it concerns one."""
    audit.append(
        tx,
        action,
        at=now,
        actor=actor,
        number=number,
        program_id=program_id,
        cause=f"campaign:{campaign_id}",
        **details,
    )

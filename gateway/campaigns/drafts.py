"""A campaign's life until it runs, and its end before its time: create, fill, start, cancel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update

from gateway import optouts
from gateway.campaigns.common import ONE, OUR_RECIPIENTS, OUR_TEXTS, campaigns, found, outbound, recipients, tell
from gateway.db import Transaction, insert_new
from gateway.errors import BadInput, Conflict, NotFound
from gateway.models import CampaignState, Category, Program, Sender, State
from gateway.programs import plain

programs = Program.__table__  # type: ignore[attr-defined]
senders = Sender.__table__  # type: ignore[attr-defined]

# https://www.twilio.com/docs/api/errors/21617: a longer body is refused.
MOST_TEXT = 1600
# What the suffix with the link may need of it: a wording of 10 and an address of 80 characters.
SUFFIX_ROOM = 90
MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Added:
    """How many numbers a draft took in, and how many it had already."""

    added: int
    duplicates: int


def most_text(with_link: bool) -> int:
    """How many characters a campaign's own words may have."""
    return MOST_TEXT - SUFFIX_ROOM if with_link else MOST_TEXT


def create(
    tx: Transaction,
    *,
    program_id: int,
    sender_id: int,
    name: str,
    text: str,
    category: Category = Category.MARKETING,
    with_link: bool = True,
    created_by: str,
    now: datetime,
) -> int:
    """Adds a draft and returns its id. Raises BadInput or NotFound.

    The link can be left out only where recipients can reply STOP instead.
    """
    sender = tx.execute(SENDER, {"sender": sender_id, "program": program_id}).first()
    if sender is None:
        raise NotFound("This program has no such sender.", field="sender_id")
    if not with_link and not sender.can_receive:
        raise BadInput(
            "Replies cannot reach this sender, so the opt-out link is the only way out and stays on.",
            field="with_link",
        )
    if category is Category.REPLY:
        raise BadInput("category is marketing or informational.", field="category")
    values = {
        "program_id": program_id,
        "sender_id": sender_id,
        "name": plain("name", name, 100),
        "text": plain("text", text, most_text(with_link)),
        "category": category,
        "with_link": with_link,
        "language": sender.language,
        "state": CampaignState.DRAFT,
        "created_by": created_by,
        "created_at": now,
        "expanded_to": 0,
        "skipped_out": 0,
    }
    campaign_id = int(tx.execute(campaigns.insert().returning(campaigns.c.id), values).scalar_one())
    tell(
        tx, "campaign.created", campaign_id, program_id, created_by, now,
        name=values["name"], sender=sender_id, category=category.value, with_link=with_link,
    )  # fmt: skip
    return campaign_id


def add_recipients(tx: Transaction, campaign_id: int, numbers: Sequence[str], now: datetime) -> Added:
    """Adds E.164 numbers to a draft; a number counts once. At most `MOST_AT_ONCE`, so that others get turns.

    Raises NotFound, Conflict when the campaign has started, BadInput for too many at once.
    """
    if len(numbers) > MOST_AT_ONCE:
        raise BadInput(f"At most {MOST_AT_ONCE:,} recipients at once.", field="recipients")
    # Locked: a start at the same moment would expand past rows that are not there yet.
    campaign = found(tx.execute(LOCKED, {"campaign": campaign_id}).first())
    _must_be(campaign, CampaignState.DRAFT, "takes no more recipients")
    if not numbers:
        return Added(0, 0)
    rows = [{"campaign_id": campaign_id, "number": number} for number in dict.fromkeys(numbers)]
    added = len(tx.execute(insert_new(recipients, tx.is_sqlite), rows).all())
    result = Added(added, len(numbers) - added)
    tell(
        tx, "campaign.recipients_added", campaign_id, campaign.program_id, campaign.created_by, now,
        added=result.added, duplicates=result.duplicates,
    )  # fmt: skip
    return result


def start(tx: Transaction, campaign_id: int, now: datetime, actor: str | None = None) -> None:
    """A draft begins to run. Raises NotFound, Conflict, and BadInput without recipients."""
    campaign = found(tx.execute(LOCKED_ALONE, {"campaign": campaign_id}).first())
    _must_be(campaign, CampaignState.DRAFT, "has been started before")
    if tx.execute(ANY_RECIPIENT, {"campaign": campaign_id}).first() is None:
        raise BadInput("The campaign has no recipients.", field="recipients")
    tx.execute(START, {"campaign": campaign_id, "now": now})
    tell(tx, "campaign.started", campaign_id, campaign.program_id, actor or campaign.created_by, now)
    tx.start_job("expand", campaign_id)


def cancel(tx: Transaction, campaign_id: int, now: datetime, actor: str | None = None) -> int:
    """Stops a campaign at once; returns how many waiting texts are cancelled. Raises NotFound, Conflict.

    Texts that were handed over already cannot be called back.
    """
    # Against a batch that is being expanded: its texts are cancelled too or never written.
    optouts.take_turn_alone(tx)
    campaign = found(tx.execute(LOCKED_ALONE, {"campaign": campaign_id}).first())
    if campaign.state == CampaignState.CANCELLED:
        raise Conflict("The campaign is cancelled already.")
    tx.execute(CANCEL, {"campaign": campaign_id})
    cancelled: int = tx.execute(CANCEL_TEXTS, {"campaign": campaign_id, "now": now}).rowcount
    tell(
        tx, "campaign.cancelled", campaign_id, campaign.program_id, actor or campaign.created_by, now,
        texts=cancelled,
    )  # fmt: skip
    return cancelled


def _must_be(campaign: Any, state: CampaignState, otherwise: str) -> None:
    if campaign.state != state:
        raise Conflict(f"The campaign is {campaign.state.value} and {otherwise}.")


LOCKED = ONE.with_for_update(read=True)
LOCKED_ALONE = ONE.with_for_update()
SENDER = (
    select(senders.c.can_receive, programs.c.language)
    .join(programs, programs.c.id == senders.c.program_id)
    .where(senders.c.id == bindparam("sender"), senders.c.program_id == bindparam("program"))
)
ANY_RECIPIENT = select(recipients.c.id).where(OUR_RECIPIENTS).limit(1)
_set = update(campaigns).where(campaigns.c.id == bindparam("campaign"))
START = _set.values(state=CampaignState.RUNNING, started_at=bindparam("now"))
CANCEL = _set.values(state=CampaignState.CANCELLED)
CANCEL_TEXTS = (
    update(outbound)
    .where(OUR_TEXTS, outbound.c.state.in_([State.QUEUED, State.HELD]))
    .values(state=State.CANCELLED, settled_at=bindparam("now"))
)

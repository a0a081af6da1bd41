"""Recipients become queued texts: screened, with a link of their own, not before quiet hours end."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update

from gateway import links, optouts, outbox, phone, regions, segments
from gateway.campaigns.common import IS_OUT, ONE, OUR_RECIPIENTS, campaigns, recipients, tell
from gateway.db import Transaction
from gateway.models import CampaignState, Category, State
from gateway.settings import Settings

# Every token counts like this one: all are as long, and their alphabet is within GSM-7.
SOME_TOKEN = links.ALPHABET[0] * links.TOKEN_LENGTH


def expand_batch(tx: Transaction, campaign_id: int, settings: Settings, now: datetime, size: int = 500) -> bool:
    """Turns the next `size` recipients into queued texts; returns whether there may be more.

    Whoever is out is skipped and written down. Marketing waits for the hours its recipient's law allows;
    where there are none the text is `held`.
    """
    optouts.take_turn_alone(tx)
    campaign = tx.execute(RUNNING, {"campaign": campaign_id}).first()
    if campaign is None:
        return False
    batch = tx.execute(NEXT, {"campaign": campaign_id, "behind": campaign.expanded_to, "most": size}).all()
    _skip(tx, campaign, [one.number for one in batch if one.stopped], now)
    rows = _texts(campaign, [one.number for one in batch if not one.stopped], settings, now)
    _hold(tx, campaign, [row for row in rows if row["state"] is State.HELD], now)
    outbox.enqueue_screened(tx, rows)
    _note(tx, campaign, batch, rows, now, more=len(batch) == size)
    if rows:
        tx.start_job("dispatch", campaign.sender_id)
    return len(batch) == size


def estimate(text: str, with_link: bool, language: str, settings: Settings) -> segments.SegmentCount:
    """Encoding, length and parts that each text of such a campaign will have."""
    return segments.count(_body(text, SOME_TOKEN if with_link else None, language, settings))


def _body(text: str, token: str | None, language: str, settings: Settings) -> str:
    if token is None:
        return text
    link = links.short_link(token, link_url=settings.link_url, public_url=settings.public_url)
    return links.append(text, link, language)


def _texts(campaign: Any, numbers: Iterable[str], settings: Settings, now: datetime) -> list[dict[str, Any]]:
    moments: dict[phone.Place, datetime | None] = {}
    rows = []
    for number in numbers:
        place = phone.place_of(number)
        if place not in moments:
            moments[place] = _send_after(campaign.category, place, now)
        rows.append(_text(campaign, number, moments[place], settings, now))
    return rows


def _send_after(category: Category, place: phone.Place, now: datetime) -> datetime | None:
    """Earliest lawful moment; None where a law limits the hours and nobody can tell the time there."""
    if category != Category.MARKETING:
        return now
    return regions.next_allowed(regions.rules_at(place, now), place.time_zones, now)


def _text(
    campaign: Any, number: str, send_after: datetime | None, settings: Settings, now: datetime
) -> dict[str, Any]:
    token = links.new_token() if campaign.with_link else None
    row = outbox.row(
        program_id=campaign.program_id,
        sender_id=campaign.sender_id,
        campaign_id=campaign.id,
        number=number,
        body=_body(campaign.text, token, campaign.language, settings),
        category=campaign.category,
        kind="campaign",
        now=now,
        send_after=send_after,
        link_token=token,
    )
    return row if send_after else row | {"state": State.HELD}


def _skip(tx: Transaction, campaign: Any, numbers: Iterable[str], now: datetime) -> None:
    for number in numbers:
        tell(
            tx, "recipient.skipped", campaign.id, campaign.program_id, "gateway", now, number=number,
            why="opted out",
        )  # fmt: skip


def _hold(tx: Transaction, campaign: Any, rows: Iterable[dict[str, Any]], now: datetime) -> None:
    for row in rows:
        tell(
            tx, "message.held", campaign.id, campaign.program_id, "gateway", now, number=row["number"],
            why="no lawful hour is known for this number's place",
        )  # fmt: skip


def _note(
    tx: Transaction, campaign: Any, batch: Sequence[Any], rows: Sequence[Any], now: datetime, *, more: bool
) -> None:
    """How far the campaign is now, in its row and in the log."""
    skipped = len(batch) - len(rows)
    values = {
        "campaign": campaign.id,
        "up_to": batch[-1].id if batch else campaign.expanded_to,
        "skipped": campaign.skipped_out + skipped,
        "new_state": CampaignState.RUNNING if more else CampaignState.EXPANDED,
    }
    tx.execute(ADVANCE, values)
    tell(
        tx, "campaign.expanded", campaign.id, campaign.program_id, "gateway", now, texts=len(rows),
        skipped_out=skipped, behind=campaign.expanded_to, up_to=values["up_to"], complete=not more,
    )  # fmt: skip


RUNNING = ONE.where(campaigns.c.state == CampaignState.RUNNING)
NEXT = (
    select(recipients.c.id, recipients.c.number, IS_OUT.label("stopped"))
    .join(campaigns, campaigns.c.id == recipients.c.campaign_id)
    .where(OUR_RECIPIENTS, recipients.c.id > bindparam("behind"))
    .order_by(recipients.c.id)
    .limit(bindparam("most"))
)
ADVANCE = (
    update(campaigns)
    .where(campaigns.c.id == bindparam("campaign"))
    .values(expanded_to=bindparam("up_to"), skipped_out=bindparam("skipped"), state=bindparam("new_state"))
)

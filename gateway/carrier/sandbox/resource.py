"""A message as Twilio's API shows it, all fields of the OpenAPI document included."""

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from gateway.carrier.sandbox.store import Message
from gateway.carrier.sandbox.webhooks import API_VERSION
from gateway.segments import count

NOT_YET_SENT = {"accepted", "queued"}


def resource(account_sid: str, message: Message) -> dict[str, object]:
    """The JSON of one message."""
    created = rfc2822(message.created_at.replace(microsecond=0))
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Messages/{message.sid}"
    # A messaging service chooses the sender after the answer, so neither it nor the price basis is known.
    undecided = message.status == "accepted"
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "body": message.body,
        "date_created": created,
        "date_sent": None if message.status in NOT_YET_SENT else created,
        "date_updated": created,
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": None if undecided else message.sender,
        "messaging_service_sid": message.service_sid,
        "num_media": "0",
        "num_segments": "0" if undecided else str(count(message.body).segments),
        "price": None,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to,
        "uri": f"{uri}.json",
    }


@lru_cache(maxsize=64)
def rfc2822(moment: datetime) -> str:
    """`Sun, 16 Aug 2015 15:53:54 +0000`; cached, since a thousand texts share a second."""
    return format_datetime(moment.astimezone(UTC))

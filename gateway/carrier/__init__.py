"""What the gateway asks of whoever carries its texts, and every way that can fail.

The tree of errors answers one question for the caller: has the text surely not been sent?

    CarrierError
    ├── Unreachable        not sent; no connection could be opened: try again
    ├── RateLimited        not sent; try again after `retry_after` seconds
    ├── Refused            not sent; trying again changes nothing
    │   └── OptedOutAtCarrier   the recipient is on the carrier's own block list: an opt-out
    └── OutcomeUnknown     nobody knows: look in the carrier's list, never send again blindly

None of them holds a phone number or the text of a message.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

OPTED_OUT_CODE = 21610  # https://www.twilio.com/docs/api/errors/21610

_NUMBER_LIKE = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){5,}")
_EXPLANATION_LIMIT = 200


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """One text to hand over. `to` is E.164; `sender` is E.164, alphanumeric or a short code.

    At least one of `sender` and `messaging_service_sid` is given.
    """

    to: str
    body: str
    sender: str | None = None
    messaging_service_sid: str | None = None
    status_callback: str | None = None
    validity_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The carrier took the text over: its name for it, and the state it is in there."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """One row of the carrier's own message list. `created_at` is aware UTC, to the second."""

    sid: str
    to: str
    sender: str
    body: str
    status: str
    error_code: int | None
    created_at: datetime
    direction: str


class Carrier(Protocol):
    """Every method raises only `CarrierError`s."""

    async def send(self, text: OutgoingText) -> Sent:
        """Hand one text over, at most once: an implementation never repeats a create by itself."""
        ...

    async def list_sent(self, to: str, since: datetime) -> list[ListedMessage]:
        """The outbound texts to one recipient created at or after `since`, newest first."""
        ...

    async def list_received(self, since: datetime, until: datetime, to: str | None = None) -> list[ListedMessage]:
        """The inbound texts of that time, bounds included; with `to`, only one sender's."""
        ...

    async def aclose(self) -> None:
        """Give the connections back. The carrier is of no use afterwards."""
        ...


class CarrierError(Exception):
    """Something between us and the carrier went wrong."""


class Unreachable(CarrierError):
    """No connection could be opened, so nothing was sent."""


class RateLimited(CarrierError):
    """Too many at once (HTTP 429 or 20429). `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the carrier asks us to wait {retry_after:g} s")
        self.retry_after = retry_after


class Refused(CarrierError):
    """The carrier said no for good: `code` is its error number, `explanation` is safe to log."""

    def __init__(self, code: int, explanation: str) -> None:
        self.code = code
        self.explanation = _without_numbers(explanation)
        super().__init__(f"refused by the carrier ({code}): {self.explanation}")


class OptedOutAtCarrier(Refused):
    """The carrier's own block list holds this recipient for this sender (21610)."""

    def __init__(self) -> None:
        super().__init__(OPTED_OUT_CODE, "the recipient has opted out at the carrier")


class OutcomeUnknown(CarrierError):
    """The request may or may not have been carried out. `cause` is a short word for the log."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"outcome unknown: {cause}")
        self.cause = cause


def _without_numbers(explanation: str) -> str:
    # Twilio quotes the offending number in its messages: "The 'To' number +1555… is not valid".
    return _NUMBER_LIKE.sub("[number]", explanation)[:_EXPLANATION_LIMIT]

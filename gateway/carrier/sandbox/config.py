"""What a sandbox is told at start, and the faults it can be told to make at any time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

# Numbers for the phones on the page. The German and American ones are set aside for fiction
# (Bundesnetzagentur "Rufnummern für fiktive Nutzung"; 555-01xx); the others are libphonenumber's examples.
DEFAULT_PHONES = ("+4915228817386", "+12125550142", "+33612345678", "+34612345678")


class Answers(StrEnum):
    """Who answers a STOP to a sender, and so who keeps a block list for it."""

    GATEWAY = "gateway"  # the webhook's owner; the sandbox blocks nobody
    TWILIO = "twilio"  # Twilio's default or Advanced Opt-Out; the webhook carries OptOutType
    CARRIER = "carrier"  # US/CA toll-free: the carrier itself, on STOP only, without telling the webhook


@dataclass(frozen=True, slots=True)
class Sender:
    """One of the account's numbers. `webhook` is where texts to it are posted; "" for nowhere."""

    number: str
    answers: Answers = Answers.GATEWAY
    webhook: str = ""
    service_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """Rates are shares from 0 to 1 of the texts created, durations are seconds."""

    latency: float = 0.0  # between accepting a text and answering
    lost_answers: float = 0.0  # accepted, but the connection is cut instead of an answer
    rate_429: float = 0.0
    retry_after: float = 1.0  # what a 429 asks for
    rate_500: float = 0.0
    created_on_500: float = 0.5  # share of the 500s whose text was accepted all the same
    undelivered: float = 0.0
    block_in_callback: bool = False  # 21610 not as an answer but in a status callback
    callbacks: bool = True
    duplicate_callbacks: float = 0.0
    shuffle_callbacks: bool = False
    list_lag: float = 0.0  # a text younger than this is missing from the list

    def changed(self, changes: Mapping[str, Any]) -> "Faults":
        """These faults with some of them set anew. Raises ValueError naming the first bad one."""
        known = {item.name: item.type for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown fault {name!r}; there are: {', '.join(known)}")
            if known[name] is bool and not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false")
            if known[name] is float and not _is_amount(value):
                raise ValueError(f"{name} must be a number, 0 or more")
        return replace(self, **changes)


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A sandbox. `webhook` and `answers` are for senders that were not registered one by one."""

    account_sid: str = "AC" + "0" * 32
    auth_token: str = "sandbox"  # noqa: S105 - of an account that does not exist
    webhook: str = ""
    answers: Answers = Answers.GATEWAY
    senders: tuple[Sender, ...] = ()
    phones: tuple[str, ...] = DEFAULT_PHONES
    faults: Faults = field(default_factory=Faults)
    campaign_url: str | None = None
    log_file: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    # Twilio itself retries once; its documentation lets a webhook URL ask for up to five (#rc=5).
    webhook_retries: int = 3
    retry_pause: float = 0.2
    webhook_concurrency: int = 32
    seed: int = 0

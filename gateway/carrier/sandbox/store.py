"""Every text the sandbox knows, who is blocked, and the log of what was accepted."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import urandom
from pathlib import Path
from typing import TextIO

from gateway.carrier.sandbox.config import Answers, SandboxConfig, Sender


@dataclass(slots=True, eq=False)
class Message:
    """One text, inbound or outbound. `refused` ones were never accepted: the page alone shows them."""

    sid: str
    to: str
    sender: str
    body: str
    direction: str
    status: str
    created_at: datetime
    service_sid: str | None = None
    status_callback: str | None = None
    error_code: int | None = None

    @property
    def inbound(self) -> bool:
        return self.direction == "inbound"


class Store:
    """Everything in memory; with `log_file`, accepted texts are also appended there, a line each."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._messages: dict[str, Message] = {}
        self._by_number: defaultdict[str, list[Message]] = defaultdict(list)
        self._senders = {sender.number: sender for sender in config.senders}
        self._blocked: set[tuple[str, str]] = set()
        self._log = _open_log(config.log_file)
        self.version = 0

    def close(self) -> None:
        if self._log:
            self._log.close()

    def touch(self) -> None:
        """Something on a phone's screen has changed."""
        self.version += 1

    # Texts

    def add(self, message: Message) -> Message:
        self._messages[message.sid] = message
        self._show(message)
        if self._log:
            self._log.write(_log_line(message))
        return message

    def refuse(self, message: Message) -> None:
        """Keep a text that was not accepted for the screen of the phone it was meant for."""
        message.status = "refused"
        self._show(message)

    def get(self, sid: str) -> Message | None:
        return self._messages.get(sid)

    def newest_first(self, to: str | None = None) -> Iterator[Message]:
        if to is None:
            return reversed(self._messages.values())
        found = self._by_number.get(to, ())
        return (message for message in reversed(found) if message.to == to and message.status != "refused")

    def conversation(self, number: str) -> list[Message]:
        """All texts of a phone, oldest first, refused ones included."""
        return list(self._by_number.get(number, ()))

    def _show(self, message: Message) -> None:
        self._by_number[message.to].append(message)
        self._by_number[message.sender].append(message)
        self.touch()

    # Senders and the block list

    @property
    def senders(self) -> list[Sender]:
        return list(self._senders.values())

    def register(self, sender: Sender) -> None:
        self._senders[sender.number] = sender
        self.touch()

    def sender(self, number: str) -> Sender:
        """The registered sender, or what the configuration says of all others."""
        return self._senders.get(number) or Sender(number, self._config.answers, self._config.webhook)

    def sender_in_service(self, service_sid: str) -> Sender | None:
        return next((sender for sender in self.senders if sender.service_sid == service_sid), None)

    def is_blocked(self, phone: str, sender: Sender) -> bool:
        return sender.answers is not Answers.GATEWAY and (phone, _list_of(sender)) in self._blocked

    def block(self, phone: str, sender: Sender) -> None:
        self._blocked.add((phone, _list_of(sender)))

    def unblock(self, phone: str, sender: Sender) -> None:
        self._blocked.discard((phone, _list_of(sender)))


def new_sid() -> str:
    return "SM" + urandom(16).hex()


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_message(*, to: str, sender: str, body: str, direction: str, status: str) -> Message:
    return Message(new_sid(), to, sender, body, direction, status, utc_now())


def _list_of(sender: Sender) -> str:
    # Twilio blocks a recipient for a whole messaging service, not for the one number that was texted.
    return sender.service_sid or sender.number


def _open_log(path: str | None) -> TextIO | None:
    return Path(path).open("a", buffering=1, encoding="utf-8") if path else None


def _log_line(message: Message) -> str:
    entry = {
        "sid": message.sid,
        "direction": message.direction,
        "from": message.sender,
        "to": message.to,
        "body": message.body,
        "status_callback": message.status_callback,
        "at": message.created_at.isoformat(),
    }
    return json.dumps(entry) + "\n"

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import keys
from gateway.db import Database
from gateway.models import Role
from gateway.settings import Settings
from tests.journeys.stage import SENDER, Sandbox, call, carrier, free_port, gateway, open_database, pointed


@dataclass
class House:
    """A running gateway with one program and one sender, set up over its own API."""

    settings: Settings
    sandbox: Sandbox
    db: Database
    keys: dict[Role, str]
    program: int
    sender: int

    def api(self, method: str, path: str, body: Any = None, role: Role = Role.ADMIN) -> Any:
        url = f"{self.settings.public_url}/api/v1/{path}"
        return call(method, url, body, Authorization=f"Bearer {self.keys[role]}")

    def campaign(self, text: str, numbers: list[str], role: Role = Role.MARKETER, **more: Any) -> int:
        """A campaign to these numbers, started; returns its id."""
        fields = {"program_id": self.program, "sender_id": self.sender, "name": text[:50], "text": text, **more}
        new = self.api("POST", "campaigns", fields, role)["id"]
        self.api("POST", f"campaigns/{new}/recipients", {"recipients": numbers}, role)
        self.api("POST", f"campaigns/{new}/start", None, role)
        return int(new)


def make_keys(db: Database) -> dict[Role, str]:
    now = datetime.now(UTC)
    return {role: db.writer.run(keys.create, f"the {role}", role, now) for role in Role}


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    port = free_port()
    with carrier(f"http://127.0.0.1:{port}/twilio/inbound") as sandbox:
        here = pointed(settings, port, sandbox)
        with gateway(here, port), open_database(here) as db:
            built = House(here, sandbox, db, make_keys(db), 0, 0)
            program = {"name": "Acme", "contact": "help@acme.example", "language": "en", "default_country": "DE"}
            built.program = built.api("POST", "programs", program)["id"]
            sender = {"program_id": built.program, "address": SENDER}
            built.sender = built.api("POST", "senders", sender)["id"]
            yield built

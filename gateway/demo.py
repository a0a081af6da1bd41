"""`optout demo`: the whole gateway without a Twilio account, with the sandbox carrier and phones in the browser.

A fresh SQLite file, a program, a sender, an admin key and a first campaign, then the same server and worker
that `optout serve` runs. Everything is gone when it ends.
"""

import secrets
import signal
import socket
import tempfile
import webbrowser
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from gateway import campaigns, jobs, keys, programs
from gateway.carrier.sandbox import SandboxConfig, Sender, spawned_sandbox
from gateway.db import Transaction
from gateway.errors import BadInput
from gateway.logs import configure
from gateway.models import Role
from gateway.serve import server
from gateway.settings import Settings, load
from gateway.worker import open_database

# Set aside for fiction by the Bundesnetzagentur (0152 28817386, 0171 39200 and 0176 040690) and by NANPA (555-01).
SENDER = "+4917139200000"
PHONES = ("+4915228817386", "+4917604069001", "+34612345678", "+12125550142")
PROGRAM = "Muster Mode"
TEXT = "Muster Mode: Heute 20 % auf alle Jacken, nur im Laden."
BY = "demo"


def demo(*, port: int, sandbox_port: int, open_browser: bool) -> None:
    """Runs until Ctrl-C or SIGTERM. Raises BadInput when a port is taken."""
    if port == sandbox_port:
        raise BadInput("The gateway and the sandbox need a port each.", field="sandbox-port")
    # uvicorn stops and then raises the signal anew: as an interrupt it ends the sandbox and the folder too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for field, wanted in (("port", port), ("sandbox-port", sandbox_port)):
        _check_free(field, wanted)
    with tempfile.TemporaryDirectory(prefix="optout-demo-") as folder:
        settings = _settings(Path(folder), port, sandbox_port)
        configure(settings)
        with spawned_sandbox(_sandbox(settings, sandbox_port)) as phones:
            key = _furnish(settings)
            _tell(settings, phones, key)
            if open_browser:
                webbrowser.open(phones)
            server(settings, host="127.0.0.1", port=port, with_worker=True).run()


def _check_free(field: str, port: int) -> None:
    with socket.socket() as probe:
        # As the server itself does: a port that was used a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise BadInput(f"Port {port} is taken; choose another with --{field}.", field=field) from None


def _settings(folder: Path, port: int, sandbox_port: int) -> Settings:
    return load(
        database_url=f"sqlite:///{folder}/demo.db",
        public_url=f"http://127.0.0.1:{port}",
        link_url=None,
        company_name=PROGRAM,
        twilio_account_sid="AC" + secrets.token_hex(16),
        twilio_auth_token=secrets.token_hex(16),
        twilio_api_url=f"http://127.0.0.1:{sandbox_port}",
        log_level="WARNING",
    )


def _sandbox(settings: Settings, port: int) -> SandboxConfig:
    webhook = f"{settings.public_url}/twilio/inbound"
    return SandboxConfig(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.auth_tokens[0],
        webhook=webhook,
        senders=(Sender(SENDER, webhook=webhook),),
        phones=PHONES,
        campaign_url=f"{settings.public_url}/console/campaigns/new",
        port=port,
    )


def _furnish(settings: Settings) -> str:
    """Migrates, and makes what a first look needs; returns the plain API key."""
    jobs.migrate(settings)
    db = open_database(settings)
    try:
        return db.writer.run(_first_things, datetime.now(UTC))
    finally:
        db.close()


def _first_things(tx: Transaction, now: datetime) -> str:
    program = programs.create(
        tx,
        name=PROGRAM,
        contact="hilfe@muster-mode.example",
        language="de",
        default_country="DE",
        actor=BY,
        now=now,
    )
    sender = programs.create_sender(tx, program_id=program, address=SENDER, actor=BY, now=now)
    campaign = campaigns.create(
        tx, program_id=program, sender_id=sender, name="Jacken", text=TEXT, created_by=BY, now=now
    )
    campaigns.add_recipients(tx, campaign, PHONES, now)
    campaigns.start(tx, campaign, now)
    return keys.create(tx, BY, Role.ADMIN, now)


def _tell(settings: Settings, phones: str, key: str) -> None:
    # Plain lines instead of a frame: the key must survive being copied from a narrow terminal.
    Console(soft_wrap=True).print(
        "\n[bold]SMS opt-out gateway: demo[/bold]\n\n"
        f"Phones:   {phones}\n"
        "          Four people have just been sent a campaign. Answer as one of them:\n"
        "          STOP, stpo!!, abmelden, 🛑, HELP, START, or tap the link in the text.\n"
        "          A phone stays empty while its country's law forbids texts at this hour.\n\n"
        f"Console:  {settings.public_url}/console\n"
        "          Send a campaign, see what became of it, read and export the audit log.\n"
        f"          Key to log in with:\n\n{key}\n\n"
        "Ctrl-C ends the demo; nothing is kept.\n",
        highlight=False,
    )

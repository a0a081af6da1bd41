"""The web servers that the benchmarks compare, each in a process of its own, under the same uvicorn settings.

gateway      what `optout serve --no-worker` runs
bare         parses the same form with the same parser; no signature, no database
session      the ordinary way: the same checks, then one ORM `Session` per request in a pool of 40 threads
"""

import contextlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, create_engine, select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import keywords
from gateway import phone, regions, replies, segments
from gateway.db import Database, Transaction, tune_gc
from gateway.migrations import upgrade
from gateway.models import (
    AuditEvent,
    Category,
    InboundMessage,
    OptOut,
    OutboundMessage,
    Program,
    Scope,
    Sender,
    Source,
)
from gateway.serve import server
from gateway.settings import Settings
from gateway.web.signatures import Signatures
from gateway.web.webhooks import EMPTY, parse_form
from keywords import Intent
from tests.benchmarks.forms import DE_SENDER, TOKEN, US_SENDER, settings
from tests.postgres import Cluster

PATHS = ("/twilio/inbound", "/twilio/status")
# What starlette's thread pool holds; each of its threads gets its connection.
THREADS = 40
START_WITHIN = 30


@contextlib.contextmanager
def running(kind: str, database_url: str) -> Iterator[int]:
    """A server of this kind; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.benchmarks.servers", kind, str(port), database_url]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def prepare(database_url: str) -> str:
    """A fresh schema with one program and its two senders; gives the URL back."""
    chosen = settings(database_url)
    upgrade(chosen)
    db = Database(chosen)
    db.writer.run(_set_up)
    db.close()
    return database_url


def on_sqlite(home: str) -> str:
    """A prepared database in a file of its own."""
    return prepare(f"sqlite:///{home}/{uuid.uuid4().hex}.db")


def on_postgresql(cluster: Cluster) -> str:
    return prepare(cluster.create(f"benchmark_{uuid.uuid4().hex}"))


def _set_up(tx: Transaction) -> None:
    now = datetime.now(UTC)
    program = {"id": 1, "name": "Acme", "contact": "help@acme.example", "language": "en", "created_at": now}
    tx.execute(sa.insert(Program), program)
    sender = {"program_id": 1, "answers": "gateway", "can_receive": True, "created_at": now}
    tx.execute(sa.insert(Sender), [sender | {"address": address} for address in (US_SENDER, DE_SENDER)])


async def _bare(request: Request) -> Response:
    parse_form(await request.body())
    return Response(EMPTY, media_type="text/xml")


@contextlib.asynccontextmanager
async def _tuned(app: Starlette) -> AsyncIterator[None]:
    tune_gc()
    yield


def bare_app() -> Starlette:
    return Starlette(routes=[Route(path, _bare, methods=["POST"]) for path in PATHS], lifespan=_tuned)


def session_app(database_url: str) -> Starlette:
    engine = create_engine(database_url, pool_size=THREADS, max_overflow=0)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    store = partial(_store_with_session, engine)

    async def take_in(request: Request) -> Response:
        form = parse_form(await request.body())
        url = "https://optout.example" + request.url.path
        if form is None or not signatures.valid(url, form, request.headers.get("x-twilio-signature")):
            return Response(status_code=403)
        await run_in_threadpool(store, {name: values[-1] for name, values in form.items()})
        return Response(EMPTY, media_type="text/xml")

    signatures = Signatures([TOKEN])
    return Starlette(routes=[Route("/twilio/inbound", take_in, methods=["POST"])], lifespan=_tuned)


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # As durable as ours; 60 s because 40 threads queue for one lock.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {pragma}")


def _store_with_session(engine: sa.Engine, form: dict[str, str]) -> None:
    """The rows that `inbound.receive` writes, through the ORM; less work than ours, never more."""
    now = datetime.now(UTC)
    with Session(engine) as session:
        sender, program = session.exec(
            select(Sender, Program).join(Program).where(Sender.address == form["To"])
        ).one()
        place = phone.place_of(form["From"])
        rules = regions.rules_at(place, now)
        reading = keywords.classify(form["Body"], country=place.country, languages=(program.language,))
        stop = reading.intent is Intent.OPT_OUT
        cause = f"inbound:{form['MessageSid']}"
        session.add(_inbound_row(form, sender, program, place, rules, reading, now))
        session.add(_event("opt_out.recorded" if stop else "inbound.nothing", form, program, cause, now))
        if stop and not _is_out(session, form["From"]):
            out = OptOut(
                number=form["From"], scope=Scope.MARKETING, heard_by_program_id=program.id, since=now,
                last_signal_at=now,
                source=Source.REPLY, cause=cause, rule=reading.rule, country=place.country,
            )  # fmt: skip
            session.add(out)
            session.flush()
            session.add(_confirmation(form, sender, program, place, rules, out, now))
        session.commit()


def _is_out(session: Session, number: str) -> bool:
    found = select(OptOut.id).where(OptOut.number == number, col(OptOut.lifted_at).is_(None))
    return session.exec(found).first() is not None


def _inbound_row(
    form: dict[str, str], sender: Sender, program: Program, place: Any, rules: Any, reading: Any, now: datetime
) -> InboundMessage:
    return InboundMessage(
        message_sid=form["MessageSid"], account_sid=form["AccountSid"], number=form["From"],
        to_address=form["To"], sender_id=sender.id, program_id=program.id, body=form["Body"],
        received_at=now, country=place.country, intent=reading.intent.value,
        certainty=reading.certainty.value, rule=reading.rule, language=reading.language,
        languages=program.language, vocabulary_version=keywords.vocabulary_version,
        pack_version=rules.pack_version, outcome="opted_out",
    )  # fmt: skip


def _event(action: str, form: dict[str, str], program: Program, cause: str, now: datetime) -> AuditEvent:
    return AuditEvent(
        at=now, action=action, actor="recipient", number=form["From"], program_id=program.id, cause=cause,
        details={"to": form["To"]},
    )  # fmt: skip


def _confirmation(
    form: dict[str, str], sender: Sender, program: Program, place: Any, rules: Any, out: OptOut, now: datetime
) -> OutboundMessage:
    language = replies.language_for(None, place, rules, program.language)
    body = replies.render(
        "confirmation", language, program=program.name, contact=program.contact, country=place.country,
        scope=rules.default_scope,
    )  # fmt: skip
    return OutboundMessage(
        program_id=program.id, sender_id=sender.id, number=form["From"], category=Category.REPLY,
        kind="confirmation", body=body, segments=segments.count(body).segments, confirms_id=out.id,
        send_after=now, created_at=now,
    )  # fmt: skip


def _serve(kind: str, port: int, database_url: str) -> None:
    chosen: Settings = settings(database_url)
    ours = server(chosen, host="127.0.0.1", port=port, with_worker=False)
    if kind != "gateway":
        ours.config.app = bare_app() if kind == "bare" else session_app(database_url)
    ours.run()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])

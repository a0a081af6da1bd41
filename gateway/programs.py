"""Programs and their senders: what is set up before the first text leaves.

A double opt-out is never a condition (P2). Where a region's law leaves room for it, it is an offer that the
confirmation makes after the opt-out has taken effect; everywhere else asking for it is refused here.
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from gateway import audit, phone, regions, replies
from gateway.db import Transaction, insert_new
from gateway.errors import BadInput, Conflict, NotFound, RefusedByLaw
from gateway.models import Answers, Program, Sender

programs = Program.__table__  # type: ignore[attr-defined]
sender_table = Sender.__table__  # type: ignore[attr-defined]

# https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id: 11 characters, at least one letter.
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")
_SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")

# The rule that an opt-out rests on names the word, in a column of 120 characters.
MOST_IN_A_WORD = 60


def create(
    tx: Transaction,
    *,
    name: str,
    contact: str,
    language: str = "en",
    default_country: str = "US",
    advertised: str = "",
    offer_countries: str = "",
    actor: str,
    now: datetime,
) -> int:
    """Adds a program and returns its id.

    `offer_countries` (comma list of ISO 3166-1 codes) asks for a double opt-out there, `advertised` (comma
    list) names further words that the program tells recipients to text. Raises BadInput, RefusedByLaw (with
    the legal reason) or Conflict.
    """
    values: dict[str, Any] = {
        "name": plain("name", name, 100),
        "contact": plain("contact", contact, 200),
        "language": _language(language),
        "default_country": _country("default_country", default_country),
        "advertised": _comma_list("advertised", advertised, str.strip),
        "offer_countries": _comma_list("offer_countries", offer_countries, _offer_country),
        "created_at": now,
    }
    program_id: int | None = tx.execute(insert_new(programs, tx.is_sqlite), values).scalar()
    if program_id is None:
        raise Conflict("There is already a program of this name.", field="name")
    audit.append(
        tx,
        "program.created",
        at=now,
        actor=actor,
        program_id=program_id,
        **{key: value for key, value in values.items() if key != "created_at"},
    )
    return program_id


def create_sender(
    tx: Transaction,
    *,
    program_id: int,
    address: str,
    messaging_service_sid: str | None = None,
    answers: Answers | str | None = None,
    can_receive: bool | None = None,
    rate: float | None = None,
    actor: str,
    now: datetime,
) -> int:
    """Adds a sender to a program and returns its id.

    `address` is an E.164 number, a short code or an alphanumeric name, `rate` segments a second (None: as
    fast as the carrier takes them). Left out, `answers` is "carrier" for a toll-free number, else "gateway",
    and `can_receive` is False for a name, else True. Raises BadInput, NotFound or Conflict.
    """
    if tx.execute(select(programs.c.id).where(programs.c.id == program_id)).first() is None:
        raise NotFound("There is no such program.", field="program_id")
    address = _address(address)
    values: dict[str, Any] = {
        "program_id": program_id,
        "address": address,
        "messaging_service_sid": _service_sid(messaging_service_sid),
        "answers": _answers(answers, address),
        "can_receive": _can_receive(can_receive, address),
        "rate": _rate(rate),
        "created_at": now,
    }
    sender_id: int | None = tx.execute(insert_new(sender_table, tx.is_sqlite), values).scalar()
    if sender_id is None:
        raise Conflict("There is already a sender with this address.", field="address")
    audit.append(
        tx,
        "sender.created",
        at=now,
        actor=actor,
        **{key: value for key, value in values.items() if key != "created_at"},
        sender=sender_id,
    )
    return sender_id


def listing(connection: Connection) -> Sequence[Row[Any]]:
    """All programs, in the order of their names."""
    return connection.execute(select(programs).order_by(programs.c.name)).all()


def senders(connection: Connection, program_id: int | None = None) -> Sequence[Row[Any]]:
    """All senders, or those of one program, with the program's name as `program`."""
    query = (
        select(sender_table, programs.c.name.label("program"))
        .join(programs, programs.c.id == sender_table.c.program_id)
        .order_by(programs.c.name, sender_table.c.address)
    )
    if program_id is not None:
        query = query.where(sender_table.c.program_id == program_id)
    return connection.execute(query).all()


def by_name(connection: Connection, name: str) -> Row[Any]:
    """The program of this name. Raises NotFound."""
    found = connection.execute(select(programs).where(programs.c.name == name.strip())).first()
    if found is None:
        raise NotFound("There is no program of this name.", field="program")
    return found


def language_of(connection: Connection, program_id: int) -> str:
    """The language of the program's automatic texts. Raises NotFound."""
    query = select(programs.c.language).where(programs.c.id == program_id)
    language: str | None = connection.execute(query).scalar()
    if language is None:
        raise NotFound("There is no such program.", field="program_id")
    return language


def plain(field: str, text: str, most: int) -> str:
    """`text` without space around it. Raises BadInput unless it has 1 to `most` characters.

    Control characters other than line breaks and tabs are refused: PostgreSQL cannot store NUL, and nobody
    means the others.
    """
    stripped = text.strip()
    if not stripped:
        raise BadInput(f"{field} is empty.", field=field)
    if len(stripped) > most:
        raise BadInput(f"{field} has more than {most:,} characters.", field=field)
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", stripped.replace("\r\n", "\n")):
        raise BadInput(f"{field} contains control characters.", field=field)
    return stripped


def _language(language: str) -> str:
    if language not in replies.LANGUAGES:
        raise BadInput(f"language is one of {', '.join(replies.LANGUAGES)}.", field="language")
    return language


def _country(field: str, country: str) -> str:
    code = country.strip().upper()
    if not phone.zones_of_country(code):
        raise BadInput(f"{field} takes ISO 3166-1 codes of two letters, such as DE, US, GB.", field=field)
    return code


def _offer_country(country: str) -> str:
    code = _country("offer_countries", country)
    try:
        regions.check_double_opt_out(code)
    except regions.RegionRefusal as refusal:
        raise RefusedByLaw(refusal.reason, field="offer_countries") from None
    return code


def _comma_list(field: str, text: str, read: Any) -> str:
    parts = dict.fromkeys(read(part) for part in text.split(",") if part.strip())
    if any(len(part) > MOST_IN_A_WORD for part in parts):
        raise BadInput(f"A word in {field} may have at most {MOST_IN_A_WORD} characters.", field=field)
    return plain(field, ",".join(parts), 400) if parts else ""


def _address(raw: str) -> str:
    address = raw.strip()
    if phone.is_short_code(address):
        return address
    if _ALPHANUMERIC.fullmatch(address):
        return address
    try:
        return phone.parse(address)
    except phone.BadNumber as error:
        raise BadInput(
            "address is a number with country code (+49…), a short code, or a name of at most 11 letters "
            f"and digits: {error.reason}.",
            field="address",
        ) from None


def _is_name(address: str) -> bool:
    return not address.removeprefix("+").isdecimal()


def _service_sid(sid: str | None) -> str | None:
    if sid and not _SERVICE_SID.fullmatch(sid):
        raise BadInput("messaging_service_sid is MG and 32 hexadecimal digits.", field="messaging_service_sid")
    return sid or None


def _answers(answers: Answers | str | None, address: str) -> Answers:
    toll_free = phone.place_of(address).toll_free
    if answers is None:
        return Answers.CARRIER if toll_free else Answers.GATEWAY
    if answers not in list(Answers):
        raise BadInput(f"answers is one of {', '.join(Answers)}.", field="answers")
    if toll_free and answers == Answers.GATEWAY:
        # Two answers to one STOP otherwise (P4): the network's cannot be switched off (regions.md 2.2).
        raise BadInput("The carrier network answers STOP on toll-free numbers, so we must not.", field="answers")
    return Answers(answers)


def _can_receive(can_receive: bool | None, address: str) -> bool:
    if can_receive and _is_name(address):
        raise BadInput("Nobody can reply to an alphanumeric sender.", field="can_receive")
    return not _is_name(address) if can_receive is None else can_receive


def _rate(rate: float | None) -> float | None:
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise BadInput("rate is a number of segments a second above 0.", field="rate")
    return rate

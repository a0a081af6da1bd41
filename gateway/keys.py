"""API keys: made, revoked, looked up. A key is shown once; only its SHA-256 is kept.

256 random bits need no slow hash: nobody can try them all (LIBRARIES: argon2 would cap us at 6 requests/s).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, select, update

from gateway import audit
from gateway.db import Transaction
from gateway.errors import BadInput, NotFound
from gateway.models import ApiKey, Role

api_keys = ApiKey.__table__  # type: ignore[attr-defined]

# Secret scanners find a leaked key by its prefix.
PREFIX = "optout_"
MOST_NAME = 80


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is valid now; the secret itself is not part of it."""

    id: int
    name: str
    role: Role


def create(tx: Transaction, name: str, role: Role, now: datetime) -> str:
    """Makes a key and returns it; it cannot be shown again. Raises BadInput for an empty or long name."""
    name = name.strip()
    if not 0 < len(name) <= MOST_NAME:
        raise BadInput(f"The name of a key has 1 to {MOST_NAME} characters.", field="name")
    plain = PREFIX + secrets.token_urlsafe(32)
    values = {"name": name, "role": role, "digest": _digest(plain), "created_at": now}
    key_id = tx.execute(api_keys.insert().returning(api_keys.c.id), values).scalar_one()
    _tell(tx, "key.created", key_id, name, role, now)
    return plain


def revoke(tx: Transaction, name_or_id: str | int, now: datetime) -> int:
    """Ends every valid key of that name, or the one with that id; returns how many. Raises NotFound."""
    wanted = str(name_or_id)
    key_id = int(wanted) if wanted.isdecimal() and len(wanted) <= 18 else 0
    revoked = tx.execute(REVOKE, {"wanted": wanted, "key_id": key_id, "now": now}).all()
    if not revoked:
        raise NotFound("No valid key by that name or id.")
    for key in revoked:
        _tell(tx, "key.revoked", key.id, key.name, key.role, now)
    return len(revoked)


def find(connection: Connection, presented: str) -> Key | None:
    """The valid key somebody presented, or None."""
    digest = _digest(presented)
    row = connection.execute(BY_DIGEST, {"digest": digest}).first()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return Key(row.id, row.name, row.role)


def by_id(connection: Connection, key_id: int) -> Key | None:
    """The key if it is still valid: a session ends with the key it was opened with."""
    row = connection.execute(BY_ID, {"key_id": key_id}).first()
    return Key(row.id, row.name, row.role) if row else None


def allows(key: Key, role: Role) -> bool:
    """Whether the key reaches what `role` may do; an admin's reaches everything."""
    return key.role in (role, Role.ADMIN)


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def _tell(tx: Transaction, action: str, key_id: int, name: str, role: Role, now: datetime) -> None:
    audit.append(tx, action, at=now, actor="operator", cause=f"key:{key_id}", name=name, role=Role(role).value)


_VALID = select(api_keys.c.id, api_keys.c.name, api_keys.c.role, api_keys.c.digest).where(
    api_keys.c.revoked_at.is_(None)
)
BY_DIGEST = _VALID.where(api_keys.c.digest == bindparam("digest"))
BY_ID = _VALID.where(api_keys.c.id == bindparam("key_id"))
REVOKE = (
    update(api_keys)
    .where(
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.name == bindparam("wanted"), api_keys.c.id == bindparam("key_id")),
    )
    .values(revoked_at=bindparam("now"))
    .returning(api_keys.c.id, api_keys.c.name, api_keys.c.role)
)

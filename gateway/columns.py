"""Column types and shapes that the tables share."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, Index, Integer, TypeDecorator, text
from sqlalchemy.engine import Dialect
from sqlmodel import Field

# SQLite gives row ids only to INTEGER keys; PostgreSQL's INTEGER ends at 2^31 rows.
BigId = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; SQLite has no zones, so it is stored there without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def words(enum: type[StrEnum]) -> Enum:
    """Stored as plain text so that a new value needs no schema change."""
    return Enum(enum, native_enum=False, create_constraint=False, length=16, values_callable=_values)


def _values(enum: type[StrEnum]) -> list[str]:
    return [member.value for member in enum]


def partial_index(name: str, *columns: Any, where: str, unique: bool = False) -> Index:
    """An index over some of the rows, the same on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def row_id() -> Any:
    return Field(default=None, primary_key=True, sa_type=BigId)


def when(**options: Any) -> Any:
    return Field(sa_type=UtcDateTime, **options)

"""Every setting: name, type, default, help. Environment variables carry the upper-case name, no prefix.

A secret may also be given as a file: `SECRET_KEY_FILE=/run/secrets/key` is read where `SECRET_KEY` is unset.
"""

import os
import secrets
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

SECRET_NAMES = ("DATABASE_URL", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "TWILIO_AUTH_TOKEN")


@cache
def _throwaway_secret() -> str:
    """A key for one process run: sessions end with it, which is fine for trying out and safe otherwise."""
    return secrets.token_urlsafe(32)


class Settings(BaseSettings):
    """The gateway's configuration, read once from the environment."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_url: str = Field(
        "sqlite:///optout.db", description="SQLAlchemy URL: sqlite:///file.db or postgresql://user:pw@host/db"
    )
    public_url: str = Field(
        "http://127.0.0.1:8000",
        description="The address Twilio and browsers reach us at, without final slash",
    )
    link_url: str | None = Field(
        None, description="Short domain for unsubscribe links (https://ex.am); default PUBLIC_URL/u"
    )
    company_name: str = Field("", description="Shown on pages; default: the name of the oldest program")
    secret_key: SecretStr = Field(
        default_factory=lambda: SecretStr(_throwaway_secret()),
        description="Signs sessions and forms; set it, or every restart logs everybody out",
    )
    secret_key_fallbacks: SecretStr = Field(
        SecretStr(""), description="Older SECRET_KEYs still accepted, separated by commas"
    )
    twilio_account_sid: str = Field("", description="Twilio account SID (AC…)")
    twilio_auth_token: SecretStr = Field(
        SecretStr(""), description="Auth token; a comma list while rotating: first sends, all verify"
    )
    twilio_api_url: str | None = Field(
        None, description="Other API address (the sandbox carrier); default api.twilio.com"
    )
    twilio_timeout: float = Field(10.0, gt=0, description="Seconds to wait for Twilio's answer to one text")
    db_pool_size: int = Field(6, ge=2, le=64, description="Threads and connections for reading")
    writer_lanes: int | None = Field(
        None, ge=1, le=8, description="Writer threads; default 1 on SQLite, 2 on PostgreSQL"
    )
    database_timeout: float = Field(
        1.5, gt=0, description="Seconds a webhook waits for its commit before it answers 503"
    )
    send_concurrency: int = Field(64, ge=1, description="Texts on their way to Twilio at once per worker")
    claim_batch: int = Field(50, ge=1, description="Texts claimed at once; more means a larger residue at a STOP")
    doubt_grace: float = Field(
        60.0, gt=0, description="Seconds before a text in doubt that Twilio does not list is queued again"
    )
    worker_grace: float = Field(
        2.5, gt=0, description="Seconds without a heartbeat before a worker counts as dead"
    )
    poll_interval: float = Field(0.2, gt=0, description="Seconds between looks for jobs and replies")
    max_body_bytes: int = Field(64 * 1024, ge=1024, description="Largest form a webhook or page accepts")
    max_upload_bytes: int = Field(
        64 * 1024 * 1024, ge=1024, description="Largest recipients file; JSON ends at 2 MiB"
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses (comma list, * for all) whose X-Forwarded-For is believed; rate limits count by it",
    )
    keep_alive_seconds: int = Field(75, ge=1, description="Seconds an idle HTTP connection stays open")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe line logged")

    @property
    def send_within(self) -> float:
        """Seconds after its claim in which a text may start to leave.

        With `twilio_timeout` on top it is over before the grace is, so nobody queues again what is still on
        its way: (60 - 10) / 2 + 10 = 35 s of 60.
        """
        return (self.doubt_grace - self.twilio_timeout) / 2

    @property
    def lease(self) -> float:
        """Seconds after which a claimed text is in doubt even if its worker lives."""
        return self.send_within + self.twilio_timeout

    @model_validator(mode="after")
    def _grace_outlasts_a_call(self) -> Self:
        if self.doubt_grace < 2 * self.twilio_timeout:
            raise ValueError("DOUBT_GRACE must be at least twice TWILIO_TIMEOUT, or a text could be sent twice")
        return self

    @field_validator("database_url")
    @classmethod
    def _with_driver(cls, url: str) -> str:
        """Raises ValueError without the URL: it may hold a password."""
        # SQLAlchemy refuses postgres:// and takes psycopg 2 for postgresql://; we ship psycopg 3.
        for prefix in ("postgres://", "postgresql://"):
            if url.startswith(prefix):
                url = "postgresql+psycopg://" + url.removeprefix(prefix)
        try:
            known = make_url(url).drivername in ("sqlite", "postgresql+psycopg")
        except (ArgumentError, ValueError):
            known = False
        if not known:
            raise ValueError(
                "use sqlite:///file.db or postgresql://user:password@host/db; escape @ : / in passwords"
            )
        return url

    @field_validator("public_url", "link_url")
    @classmethod
    def _as_twilio_sees_it(cls, url: str | None) -> str | None:
        """Without final slash, user, password and fragment: Twilio drops them before it signs."""
        if not url:
            return None
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), parts.query, ""))

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def lanes(self) -> int:
        """Writer threads: one on SQLite (it has one writer), two on PostgreSQL (measured, DESIGN 6)."""
        return 1 if self.is_sqlite else (self.writer_lanes or 2)

    @property
    def auth_tokens(self) -> list[str]:
        return _comma_list(self.twilio_auth_token)

    @property
    def secret_keys(self) -> list[str]:
        """Newest last, as itsdangerous wants it."""
        return [*_comma_list(self.secret_key_fallbacks), self.secret_key.get_secret_value()]


def _comma_list(secret: SecretStr) -> list[str]:
    return [part.strip() for part in secret.get_secret_value().split(",") if part.strip()]


def load(**overrides: object) -> Settings:
    """Reads the environment (and `NAME_FILE` secrets); `overrides` win. Raises pydantic.ValidationError."""
    from_files = {
        name.lower(): Path(path).read_text(encoding="utf-8").strip()
        for name in SECRET_NAMES
        if name not in os.environ and (path := os.environ.get(f"{name}_FILE"))
    }
    return Settings(**{**from_files, **overrides})  # type: ignore[arg-type]

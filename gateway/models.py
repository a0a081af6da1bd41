"""The tables and their enums; no behaviour. DESIGN section 5 says what they mean.

Times are aware UTC. Numbers are E.164 (`+4915123456789`), the channel stands apart.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, Index, String, Text, text
from sqlmodel import Field, SQLModel

from gateway.columns import BigId, partial_index, row_id, when, words


class Scope(StrEnum):
    """How far an opt-out reaches."""

    PROGRAM = "program"
    MARKETING = "marketing"
    ALL = "all"


class Category(StrEnum):
    """What an outgoing text is; the fence reads it."""

    MARKETING = "marketing"
    INFORMATIONAL = "informational"
    REPLY = "reply"


class Answers(StrEnum):
    """Who answers an opt-out that arrives at this sender."""

    GATEWAY = "gateway"
    TWILIO = "twilio"
    CARRIER = "carrier"


class Source(StrEnum):
    """How an opt-out or opt-in reached us."""

    REPLY = "reply"
    LINK = "link"
    CARRIER = "carrier"
    IMPORT = "import"
    API = "api"


class State(StrEnum):
    """States of an outgoing text; `gateway.delivery` ranks them and never goes back."""

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class CampaignState(StrEnum):
    """A campaign collects recipients, expands them into texts, and is done when all are expanded."""

    DRAFT = "draft"
    RUNNING = "running"
    EXPANDED = "expanded"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """What an API key may do; admin may do everything."""

    MARKETER = "marketer"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Program(SQLModel, table=True):
    """A brand, department or list that recipients know by name."""

    __tablename__ = "programs"
    id: int | None = row_id()
    name: str = Field(max_length=100, unique=True)
    contact: str = Field(max_length=200)
    language: str = Field(default="en", max_length=8)
    default_country: str = Field(default="US", max_length=2)
    # Countries (comma list) where the confirmation also offers to stay; never a condition for leaving.
    offer_countries: str = Field(default="", max_length=400)
    advertised: str = Field(default="", max_length=400)
    created_at: datetime = when()


class Sender(SQLModel, table=True):
    """A number, short code or name that texts are sent from."""

    __tablename__ = "senders"
    id: int | None = row_id()
    program_id: int = Field(foreign_key="programs.id", sa_type=BigId, index=True)
    address: str = Field(max_length=64, unique=True)
    messaging_service_sid: str | None = Field(default=None, max_length=34)
    answers: Answers = Field(default=Answers.GATEWAY, sa_type=words(Answers))
    can_receive: bool = Field(default=True)
    # Segments a second; None means as fast as the carrier takes them.
    rate: float | None = Field(default=None)
    created_at: datetime = when()


class OptOut(SQLModel, table=True):
    """One opt-out as a fact; "is she out?" means "is there a row not lifted"."""

    __tablename__ = "opt_outs"
    __table_args__ = (
        # At most one open opt-out per number and scope: two copies at once leave one row (habit 1).
        partial_index(
            "opt_outs_open",
            "number",
            "scope",
            text("coalesce(program_id, 0)"),
            where="lifted_at IS NULL",
            unique=True,
        ),
        Index("opt_outs_number_since", "number", "since"),
    )
    id: int | None = row_id()
    number: str = Field(max_length=20)
    scope: Scope = Field(sa_type=words(Scope))
    # Set for scope `program` only.
    program_id: int | None = Field(default=None, sa_type=BigId)
    # The program whose text or link she answered.
    heard_by_program_id: int | None = Field(default=None, sa_type=BigId)
    since: datetime = when()
    # Her newest STOP in this scope; only a START after it opens (P7).
    last_signal_at: datetime = when()
    source: Source = Field(sa_type=words(Source))
    cause: str = Field(max_length=80)
    rule: str = Field(max_length=120)
    vocabulary_version: str = Field(default="", max_length=20)
    pack_version: str = Field(default="", max_length=20)
    country: str = Field(default="ZZ", max_length=2)
    reason: str | None = Field(default=None, max_length=40)
    lifted_at: datetime | None = when(default=None)
    lifted_by: str | None = Field(default=None, max_length=80)


class InboundMessage(SQLModel, table=True):
    """A text somebody sent us, with the decision taken on it and all that the decision was taken from."""

    __tablename__ = "inbound_messages"
    id: int | None = row_id()
    message_sid: str = Field(max_length=64, unique=True)
    account_sid: str = Field(max_length=64)
    channel: str = Field(default="sms", max_length=16)
    number: str = Field(max_length=64, index=True)
    to_address: str = Field(max_length=64)
    sender_id: int | None = Field(default=None, sa_type=BigId)
    program_id: int | None = Field(default=None, sa_type=BigId)
    body: str = Field(sa_type=Text)
    media: int = Field(default=0)
    opt_out_type: str | None = Field(default=None, max_length=16)
    received_at: datetime = when()
    country: str = Field(default="ZZ", max_length=2)
    intent: str = Field(default="", max_length=16)
    certainty: str = Field(default="", max_length=16)
    rule: str = Field(default="", max_length=120)
    language: str | None = Field(default=None, max_length=16)
    languages: str = Field(default="", max_length=80)
    advertised: str = Field(default="", max_length=400)
    vocabulary_version: str = Field(default="", max_length=20)
    pack_version: str = Field(default="", max_length=20)
    outcome: str = Field(default="", max_length=40)


class OutboundMessage(SQLModel, table=True):
    """A text on its way out; written before anything is sent."""

    __tablename__ = "outbound_messages"
    __table_args__ = (
        # One lane per sender for campaigns, one for replies, both read in the order of their index.
        partial_index(
            "outbound_due", "sender_id", "send_after", "id", where="state = 'queued' AND category <> 'reply'"
        ),
        partial_index("outbound_replies_due", "send_after", "id", where="state = 'queued' AND category = 'reply'"),
        partial_index("outbound_open", "number", where="state IN ('queued', 'held', 'sending', 'unknown')"),
        partial_index("outbound_in_doubt", "claimed_at", where="state IN ('sending', 'unknown')"),
        Index("outbound_number_created", "number", "created_at"),
        Index("outbound_campaign_state", "campaign_id", "state"),
    )
    id: int | None = row_id()
    program_id: int = Field(sa_type=BigId)
    sender_id: int = Field(sa_type=BigId)
    campaign_id: int | None = Field(default=None, sa_type=BigId)
    number: str = Field(max_length=64)
    channel: str = Field(default="sms", max_length=16)
    category: Category = Field(sa_type=words(Category))
    kind: str = Field(default="campaign", max_length=24)
    body: str = Field(sa_type=Text)
    segments: int = Field(default=1)
    link_token: str | None = Field(default=None, max_length=10, unique=True)
    # The opt-out that this text confirms: unique, so one opt-out gets one confirmation.
    confirms_id: int | None = Field(default=None, sa_type=BigId, unique=True)
    state: State = Field(default=State.QUEUED, sa_type=words(State))
    send_after: datetime = when()
    expires_at: datetime | None = when(default=None)
    created_at: datetime = when()
    claimed_at: datetime | None = when(default=None)
    claimed_by: str | None = Field(default=None, max_length=40)
    attempts: int = Field(default=0)
    sid: str | None = Field(default=None, max_length=64, unique=True)
    error_code: int | None = Field(default=None)
    settled_at: datetime | None = when(default=None)


class Campaign(SQLModel, table=True):
    """One text to many recipients."""

    __tablename__ = "campaigns"
    id: int | None = row_id()
    program_id: int = Field(foreign_key="programs.id", sa_type=BigId, index=True)
    sender_id: int = Field(foreign_key="senders.id", sa_type=BigId)
    name: str = Field(max_length=100)
    text: str = Field(sa_type=Text)
    category: Category = Field(default=Category.MARKETING, sa_type=words(Category))
    with_link: bool = Field(default=True)
    language: str = Field(default="en", max_length=8)
    state: CampaignState = Field(default=CampaignState.DRAFT, sa_type=words(CampaignState))
    created_by: str = Field(max_length=80)
    created_at: datetime = when()
    started_at: datetime | None = when(default=None)
    # Recipients up to this id have become texts; expansion goes on behind it after a crash.
    expanded_to: int = Field(default=0, sa_type=BigId)
    skipped_out: int = Field(default=0)


class CampaignRecipient(SQLModel, table=True):
    """A number that a campaign was given, before it becomes a text."""

    __tablename__ = "campaign_recipients"
    __table_args__ = (
        Index("campaign_recipients_once", "campaign_id", "number", unique=True),
        # The order of expansion; without it every batch reads past the recipients of older campaigns.
        Index("campaign_recipients_in_order", "campaign_id", "id"),
    )
    id: int | None = row_id()
    campaign_id: int = Field(foreign_key="campaigns.id", sa_type=BigId)
    number: str = Field(max_length=20)


class AuditEvent(SQLModel, table=True):
    """What happened, when, to whom, by whom, why. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("audit_events_number_at", "number", "at"),)
    id: int | None = row_id()
    at: datetime = when()
    action: str = Field(max_length=40)
    actor: str = Field(max_length=80)
    number: str | None = Field(default=None, max_length=64)
    program_id: int | None = Field(default=None, sa_type=BigId)
    cause: str | None = Field(default=None, max_length=80)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class ApiKey(SQLModel, table=True):
    """An API key; only its SHA-256 is kept."""

    __tablename__ = "api_keys"
    id: int | None = row_id()
    name: str = Field(max_length=80)
    role: Role = Field(sa_type=words(Role))
    digest: str = Field(sa_type=String(64), unique=True)
    created_at: datetime = when()
    revoked_at: datetime | None = when(default=None)


class Worker(SQLModel, table=True):
    """A running worker's heartbeat."""

    __tablename__ = "workers"
    id: str = Field(primary_key=True, max_length=40)
    beat_at: datetime = when()

"""What the API takes and gives. Unknown fields are refused, so that a misspelt option is never ignored."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gateway.models import Answers, CampaignState, Category, Scope, Source

# PostgreSQL's bigint ends there; a larger id would be an error of ours instead of an answer.
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
MOST_EVENTS = 10_000


class Form(BaseModel):
    """Base of all that is taken in."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """Base of all that is given out; made from rows and dataclasses."""

    model_config = ConfigDict(from_attributes=True)


class NewProgram(Form):
    name: str = Field(description="The name recipients know, at most 100 characters", examples=["Acme"])
    contact: str = Field(description="Phone, e-mail or address for help texts", examples=["help@acme.example"])
    language: str = Field("en", description="Language of automatic texts: de, en, es, fr")
    default_country: str = Field("US", description="ISO 3166-1: whose national numbers recipients files hold")
    advertised: str = Field("", description="Further words (comma list) that your texts tell people to reply")
    offer_countries: str = Field(
        "", description="Countries (comma list) where a double opt-out is asked for; refused where unlawful"
    )


class NewSender(Form):
    program_id: Id
    address: str = Field(description="Number with country code, short code, or alphanumeric name")
    messaging_service_sid: str | None = Field(None, description="Twilio messaging service to send through")
    answers: Answers | None = Field(None, description="Who answers STOP at this sender; default by its kind")
    can_receive: bool | None = Field(None, description="Whether replies arrive; default by its kind")
    rate: float | None = Field(None, description="Segments a second; default as fast as the carrier takes them")


class NewCampaign(Form):
    program_id: Id
    sender_id: Id
    name: str = Field(description="At most 100 characters; recipients never see it")
    text: str = Field(description="At most 1,600 characters, 1,510 with the link")
    category: Literal[Category.MARKETING, Category.INFORMATIONAL] = Category.MARKETING
    with_link: bool = Field(True, description="Append each recipient's short opt-out link")


class NewRecipients(Form):
    recipients: list[str] = Field(description="Numbers; national ones are of the program's default country")


class NewOptOut(Form):
    number: str = Field(description="Number with country code", examples=["+4915123456789"])
    note: str = Field(description="How you know: a call, a letter; at most 70 characters")
    scope: Scope | None = Field(None, description="How far it reaches; default by her region's law")
    program_id: Id | None = Field(None, description="The program she was dealing with")


class EventFilter(BaseModel):
    """Query parameters."""

    model_config = ConfigDict(extra="forbid")

    number: str | None = Field(None, description="Events of this number only")
    since: Moment | None = Field(None, description="From this moment on (included)")
    until: Moment | None = Field(None, description="Before this moment")
    after_id: int = Field(0, ge=0, le=2**63 - 1, description="The last id of the page before")
    limit: int = Field(1000, ge=1, le=MOST_EVENTS)


class Created(Answer):
    id: int


class Program(Answer):
    id: int
    name: str
    contact: str
    language: str
    default_country: str
    advertised: str
    offer_countries: str
    created_at: datetime


class Programs(Answer):
    programs: list[Program]


class Sender(Answer):
    id: int
    program_id: int
    program: str
    address: str
    messaging_service_sid: str | None
    answers: Answers
    can_receive: bool
    rate: float | None
    created_at: datetime


class Senders(Answer):
    senders: list[Sender]


class CampaignCreated(Answer):
    id: int
    encoding: str = Field(description="GSM-7 or UCS-2")
    segments_per_text: int = Field(description="Parts that each text is billed as, the link included")


class CampaignRow(Answer):
    id: int
    program: str
    program_id: int
    sender_id: int
    name: str
    category: Category
    with_link: bool
    state: CampaignState
    created_by: str
    created_at: datetime
    started_at: datetime | None


class Campaigns(Answer):
    campaigns: list[CampaignRow]


class CampaignProgress(Answer):
    id: int
    name: str
    state: CampaignState
    recipients: int
    expanded: int = Field(description="Recipients that became texts or were skipped")
    by_state: dict[str, int] = Field(description="Texts in each state")
    skipped_out: int = Field(description="Recipients skipped because they are out")
    segments: int
    is_done: bool


class BadRow(Answer):
    row: int
    error: str


class RecipientsAdded(Answer):
    added: int
    duplicates: int
    bad_rows: int
    errors: list[BadRow] = Field(description="The first 1,000 bad rows with their reasons")


class OptOut(Answer):
    id: int
    scope: Scope
    program_id: int | None
    since: datetime
    source: Source
    cause: str
    rule: str
    country: str
    reason: str | None
    lifted_at: datetime | None
    lifted_by: str | None


class OptOuts(Answer):
    number: str
    opt_outs: list[OptOut] = Field(description="Lifted ones too, oldest first; out means one is not lifted")


class OptOutAdded(Answer):
    id: int
    is_new: bool = Field(description="False: she was out before")
    suppressed: int = Field(description="Waiting texts that will not leave")
    residue: int = Field(description="Texts that were already handed over")


class Event(Answer):
    """One line of the audit log."""

    id: int
    at: datetime
    action: str
    actor: str
    number: str | None
    program_id: int | None
    cause: str | None
    details: dict[str, Any]


class Problem(Answer):
    """Every refusal: what is wrong, and where."""

    error: str
    field: str | None = None
    row: int | None = None

"""The exception tree. Each error answers its caller: try again? log it? what may the user read?

GatewayError
├── BadInput            the person's input is wrong; names the place (row, field)
│   └── RefusedByLaw    a rule of a region forbids it; carries the reason
├── NotAllowed          no key, wrong key, wrong role, too many requests
├── NotFound            no such thing (or none that this key may see)
├── Conflict            it exists already, or its state does not allow the step
├── StatementFailed     the database refused a statement: a bug of ours, told without the values
└── DatabaseAway        the database cannot be reached or is too slow; try again later
"""


class GatewayError(Exception):
    """Base of all errors of the gateway; `str(error)` never holds a number or a body."""

    status = 500
    retry = False
    log = True

    def __init__(self, message: str = "", *, field: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.row = row

    def as_json(self) -> dict[str, object]:
        """What the user may read: `{"error": …, "field": …, "row": …}`, the last two where known."""
        place = {"field": self.field, "row": self.row}
        return {"error": self.message, **{k: v for k, v in place.items() if v is not None}}


class BadInput(GatewayError):
    """The input cannot be used; `field` and `row` say where."""

    status = 422
    log = False


class RefusedByLaw(BadInput):
    """A region's rule forbids what was asked; the message is the reason with its source."""


class NotAllowed(GatewayError):
    """No valid key, or one whose role does not reach this far."""

    status = 403
    log = False


class NotFound(GatewayError):
    """Nothing by that name."""

    status = 404
    log = False


class Conflict(GatewayError):
    """The thing exists already or is in a state that does not allow this step."""

    status = 409
    log = False


class StatementFailed(GatewayError):
    """The database refused a statement; the message is its own, without the values."""


class DatabaseAway(GatewayError):
    """The database did not answer in time; nothing was decided, the caller should try again."""

    status = 503
    retry = True

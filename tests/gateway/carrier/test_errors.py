"""The errors of gateway.carrier: what they say, and what they never say."""

import pytest

from gateway.carrier import (
    CarrierError,
    OptedOutAtCarrier,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unreachable,
)


@pytest.mark.parametrize(
    ("explanation", "shown"),
    [
        ("Invalid 'To' Phone Number: +4915228817386", "Invalid 'To' Phone Number: [number]"),
        ("The number (212) 555-0142 is a landline", "The number ([number] is a landline"),
        ("+49 152 288 173 86 is not reachable", "[number] is not reachable"),
        ("whatsapp:+12125550142 has no account", "whatsapp:[number] has no account"),
        ("six digits 123456 are masked", "six digits [number] are masked"),
        ("five digits 12345 are not", "five digits 12345 are not"),
        ("exceeds the 1600 character limit", "exceeds the 1600 character limit"),
        ("see error 21211 of 2026", "see error 21211 of 2026"),
    ],
)
def test_an_explanation_loses_its_numbers(explanation, shown):
    refused = Refused(21211, explanation)
    assert refused.explanation == shown
    assert str(refused) == f"refused by the carrier (21211): {shown}"


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200)])
def test_an_explanation_is_cut(length, kept):
    assert len(Refused(1, "x" * length).explanation) == kept


def test_an_opt_out_at_the_carrier_is_a_refusal_with_its_code():
    assert OptedOutAtCarrier().code == 21610
    assert issubclass(OptedOutAtCarrier, Refused)


def test_a_doubt_is_not_a_refusal():
    surely_not_sent = (Refused, RateLimited, Unreachable)
    assert not issubclass(OutcomeUnknown, surely_not_sent)
    assert all(issubclass(kind, CarrierError) for kind in (*surely_not_sent, OutcomeUnknown))


def test_what_the_caller_needs_is_on_the_error():
    assert RateLimited(2.5).retry_after == 2.5
    assert OutcomeUnknown("HTTP 503").cause == "HTTP 503"

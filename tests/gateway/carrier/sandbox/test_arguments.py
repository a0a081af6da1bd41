"""The command line, in both directions."""

import pytest

from gateway.carrier.sandbox import Answers, Faults, SandboxConfig, Sender
from gateway.carrier.sandbox.arguments import arguments_of, parse

FULL = SandboxConfig(
    account_sid="AC" + "1" * 32,
    auth_token="-a token = with signs",
    webhook="http://127.0.0.1:8000/twilio/inbound?x=1#rc=3",
    answers=Answers.CARRIER,
    senders=(Sender("+18555550123", Answers.TWILIO, "http://x.example/", "MG" + "2" * 32), Sender("ACME")),
    phones=("+4915228817386",),
    faults=Faults(latency=0.5, callbacks=False),
    campaign_url="http://127.0.0.1:8000/console",
    log_file="a file.jsonl",
    host="127.0.0.2",
    port=4010,
    webhook_retries=0,
    retry_pause=0.5,
    webhook_concurrency=3,
    seed=9,
)


@pytest.mark.parametrize("config", [SandboxConfig(), FULL])
def test_a_configuration_survives_the_command_line(config):
    assert parse(arguments_of(config)) == config


def test_without_arguments_everything_has_a_default():
    assert parse([]) == SandboxConfig()


def test_the_short_names():
    given = ["--port", "1", "--webhook", "http://w/", "--token", "T", "--account", "AC1", "--log", "F"]
    config = parse(given)
    assert (config.port, config.webhook, config.auth_token) == (1, "http://w/", "T")
    assert (config.account_sid, config.log_file) == ("AC1", "F")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "x"], "--port"),
        (["--answers", "nobody"], "--answers"),
        (["--faults", '{"latencyy": 1}'], "unknown fault 'latencyy'"),
        (["--faults", "{"], "--faults"),
        (["--sender", '{"answers": "twilio"}'], "number"),
        (["--sender", '{"number": "+1", "answers": "x"}'], "not a valid Answers"),
    ],
)
def test_a_wrong_argument_is_named(arguments, complaint, capsys):
    with pytest.raises(SystemExit):
        parse(arguments)
    assert complaint in capsys.readouterr().err

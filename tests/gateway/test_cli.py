"""The `optout` command: what each part does, says and exits with, on both databases."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
import typer

from gateway import campaigns, cli, keys, optouts, programs
from gateway.cli import check, common, send
from gateway.db import Database, Transaction
from gateway.models import CampaignState, Category, OutboundMessage, Role, State, Worker
from gateway.settings import Settings

ANNA, BERT, CARA = "+4915123456781", "+4915123456782", "+4915123456783"
COMMANDS = [
    "demo",
    "serve",
    "worker",
    "migrate",
    "check",
    "send",
    "classify",
    "regions.show",
    "opt-outs.import",
    "opt-outs.export",
    "opt-outs.list",
    "audit.export",
    "keys.create",
    "keys.revoke",
    "programs.create",
    "programs.list",
    "senders.create",
    "senders.list",
]
outbound = OutboundMessage.__table__
workers = Worker.__table__


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield ".".join((*path, name)), command


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with the environment as it is."""
    for console in (common.screen, common.notes):
        monkeypatch.setattr(console, "_width", 200)

    def run(*argv: str | Path) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in argv])
        code = ended.value.code
        return Result(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def optout(bare: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PUBLIC_URL", settings.public_url)
    return bare


@pytest.fixture
def ready(db: Database, optout: Run, make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    """A program with a sender; returns the program's id."""
    program_id = make_program()
    make_sender(program_id)
    return program_id


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Two numbers that can be used, one twice, and one that cannot."""
    path = tmp_path / "list.csv"
    path.write_text(f"name;mobile\nA;{ANNA}\nB;abc\nC;0151 23456781\nD;{BERT}\n")
    return path


def facts(text: str) -> dict[str, str]:
    """The two columns of a summary."""
    return {
        name.strip(): value.strip()
        for name, _, value in (line.strip().partition("  ") for line in text.splitlines())
    }


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def the_campaign(db: Database) -> campaigns.Progress:
    [row] = db.reading(campaigns.listing)
    return db.reading(campaigns.progress, row.id)


# --- what is there, and help


def test_the_published_commands_are_there() -> None:
    found = {name for name, _ in leaves(typer.main.get_command(cli.app))}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(bare: Run, command: str) -> None:
    words = command.split(".")
    told = bare(*words, "--help")
    assert told.code == 0
    if words[1:] != ["list"] or words[0] == "opt-outs":
        assert f"optout {' '.join(words)}" in told.out
    documented = [option for option in told.out.splitlines() if "--" in option]
    assert documented


def test_the_top_says_how_to_begin(bare: Run) -> None:
    told = bare("--help")
    assert (told.code, "Start here" in told.out, "Exit codes" in told.out) == (0, True, True)


@pytest.mark.parametrize(
    "argv",
    [
        ["nothing"],
        ["send"],
        ["send", "--program", "Acme", "--text", "x", "/no/such/file.csv"],
        ["keys", "create", "x", "--role", "king"],
        ["audit", "export", "--format", "xml"],
        ["audit", "export", "--since", "yesterday"],
        ["regions", "show", "+12125550123", "--at", "noon"],
        ["serve", "--port", "many"],
    ],
)
def test_bad_usage_is_2(bare: Run, argv: list[str]) -> None:
    told = bare(*argv)
    assert (told.code, told.out) == (2, "")
    assert told.err


# --- running


def test_running_passes_the_options_on(optout: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def note(*args: Any, **options: Any) -> None:
        calls.append((*[type(arg).__name__ for arg in args], options))

    monkeypatch.setitem(sys.modules, "gateway.demo", SimpleNamespace(demo=note))
    monkeypatch.setattr("gateway.serve.serve", note)
    monkeypatch.setattr("gateway.worker.work", note)
    assert optout("demo", "--port", "9000", "--no-open").code == 0
    assert optout("serve", "--host", "0.0.0.0", "--no-worker").code == 0
    assert optout("serve").code == 0
    assert optout("worker").code == 0
    assert calls == [
        ({"port": 9000, "sandbox_port": 8001, "open_browser": False},),
        ("Settings", {"host": "0.0.0.0", "port": 8000, "with_worker": False}),
        ("Settings", {"host": "127.0.0.1", "port": 8000, "with_worker": True}),
        ("Settings", {}),
    ]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_embedded_database_needs_no_migration_by_hand(
    bare: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    assert bare("programs", "list").code == 0


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_another_database_is_migrated_on_demand_only(optout: Run, db: Database, settings: Settings) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    told = optout("programs", "list")
    assert (told.code, "optout migrate" in told.err) == (1, True)


def test_migrating_twice_does_no_harm(optout: Run) -> None:
    assert optout("migrate").code == 0
    assert "newest schema" in optout("migrate").out


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SEND_CONCURRENCY", "hunter2", "SEND_CONCURRENCY"),
        ("LOG_LEVEL", "hunter2", "LOG_LEVEL"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL"),
        ("SECRET_KEY_FILE", "/no/such/hunter2", "cannot be read"),
    ],
)
def test_settings_that_are_wrong_are_named_without_their_values(
    bare: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    result = bare("programs", "list")
    assert (result.code, told in result.err, "hunter2" in result.err) == (1, True, False)
    assert "Traceback" not in result.err


def test_a_database_that_is_away(bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x")
    result = bare("programs", "list")
    assert (result.code, "does not answer" in result.err, "hunter2" in result.err) == (1, True, False)


# --- setting up


def test_programs_and_senders(optout: Run, db: Database) -> None:
    made = optout(
        "programs", "create", "--name", "Acme [red]", "--contact", "help@acme.example", "--language", "de"
    )
    assert (made.code, made.out) == (0, "Program 1 created.\n")
    sender = ("senders", "create", "--program", "Acme [red]", "--address")
    assert optout(*sender, "12345", "--rate", "2.5", "--answers", "twilio").code == 0
    assert optout(*sender, "Acme").code == 0
    assert "Acme [red]" in optout("programs", "list").out
    told = optout("senders", "list").out
    assert [word in told for word in ("12345", "twilio", "2.5", "Acme [red]")] == [True] * 4
    rows = {row.address: row for row in db.reading(programs.senders)}
    assert (rows["12345"].can_receive, rows["Acme"].can_receive) == (True, False)


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["programs", "create", "--name", "Acme", "--contact", "x"], 1, "already"),
        (["programs", "create", "--name", "", "--contact", "x"], 2, "name is empty"),
        (["programs", "create", "--name", "B", "--contact", "x", "--offer-countries", "DE"], 2, "not lawful"),
        (["senders", "create", "--program", "Nobody", "--address", "12345"], 1, "no program"),
        (["senders", "create", "--program", "Acme", "--address", "0151"], 0, "created"),
        (["senders", "create", "--program", "Acme", "--address", "015123456781"], 2, "country code missing"),
        (["keys", "revoke", "nobody"], 1, "No valid key"),
        (["opt-outs", "list", "0151"], 2, "short code"),
    ],
)
def test_what_goes_wrong_is_one_sentence(optout: Run, ready: int, argv: list[str], code: int, told: str) -> None:
    result = optout(*argv)
    assert result.code == code
    assert told in result.out + result.err
    assert len((result.out + result.err).strip().splitlines()) == 1


def test_keys(optout: Run, db: Database) -> None:
    made = optout("keys", "create", "CRM", "--role", "marketer")
    plain = made.out.strip()
    key = db.reading(keys.find, plain)
    assert (made.code, key and key.role) == (0, Role.MARKETER)
    assert optout("keys", "revoke", "CRM").out == "1 key revoked.\n"
    assert db.reading(keys.find, plain) is None


# --- sending


def test_sending_writes_a_campaign_and_starts_it(optout: Run, ready: int, listed: Path, db: Database) -> None:
    told = optout("send", "--program", "Acme", "--text", "20% off", "--no-wait", listed)
    assert told.code == 0, told.err
    progress = the_campaign(db)
    assert (progress.state, progress.recipients) == (CampaignState.RUNNING, 2)
    assert progress.name.startswith("list 20")
    assert "row 3: contains something other than digits" in told.err
    assert "1 segment(s), GSM-7" in told.err
    assert "2 recipients, 0 of them out; 2 texts, 2 segments" in told.err
    summary = facts(told.out)
    assert (summary["bad rows"], summary["duplicates"], summary["not yet sent"]) == ("1", "1", "2")
    [row] = db.reading(campaigns.listing)
    assert row.created_by.startswith("cli")


def test_a_job_is_started_with_the_campaign(
    optout: Run, ready: int, listed: Path, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, int]] = []
    monkeypatch.setattr("gateway.jobs.Starter.__call__", lambda self, c, name, key: started.append((name, key)))
    optout("send", "--program", "Acme", "--text", "20% off", "--no-wait", listed)
    assert started == [("expand", the_campaign(db).id)]


def test_a_dry_run_counts_and_writes_nothing(optout: Run, ready: int, listed: Path, db: Database) -> None:
    optout("opt-outs", "import", "--source-note", "n", _file(listed.parent, BERT))
    text = "x" * 200
    told = optout("send", "--program", "Acme", "--text", text, "--dry-run", listed)
    assert told.code == 0
    assert facts(told.out) == {
        "would be sent": "1",
        "skipped as out": "1",
        "duplicates": "1",
        "bad rows": "1",
        "segments": "2",
    }
    assert db.reading(campaigns.listing) == []


def _file(folder: Path, *numbers: str) -> Path:
    path = folder / f"numbers{len(numbers)}.txt"
    path.write_text("\n".join(numbers))
    return path


def test_the_link_can_be_left_out(optout: Run, ready: int, listed: Path, db: Database) -> None:
    optout("send", "--program", "Acme", "--text", "Hi", "--no-link", "--name", "Mine", "--no-wait", listed)
    [row] = db.reading(campaigns.listing)
    assert (row.with_link, row.name) == (False, "Mine")


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--text", ""], 2, "text is empty"),
        (["--text", "x" * 1511], 2, "more than 1,510"),
        (["--text", "x", "--sender", "+4915735980009"], 1, "no such sender. It has: +4915735980000"),
        (["--text", "x", "--name", "n" * 101], 2, "name has more than 100"),
    ],
)
def test_sending_that_cannot_be(
    optout: Run, ready: int, listed: Path, db: Database, more: list[str], code: int, told: str
) -> None:
    result = optout("send", "--program", "Acme", *more, "--no-wait", listed)
    assert (result.code, told in result.err) == (code, True), result.err
    assert db.reading(campaigns.listing) == []


def test_the_sender_is_named_where_there_are_several(
    optout: Run, ready: int, listed: Path, db: Database, make_sender: Callable[..., int]
) -> None:
    other = make_sender(ready, "Acme", can_receive=False)
    command = ("send", "--program", "Acme", "--text", "x", "--no-wait", listed)
    unsaid = optout(*command)
    assert (unsaid.code, "--sender" in unsaid.err) == (2, True)
    no_link = optout(*command, "--sender", "Acme", "--no-link")
    assert (no_link.code, "only way out" in no_link.err) == (2, True)
    assert optout(*command, "--sender", "Acme").code == 0
    [row] = db.reading(campaigns.listing)
    assert row.sender_id == other


def test_a_program_without_a_sender(optout: Run, listed: Path, make_program: Callable[..., int]) -> None:
    make_program()
    told = optout("send", "--program", "Acme", "--text", "x", listed)
    assert (told.code, "optout senders create" in told.err) == (2, True)


def test_a_file_without_numbers(optout: Run, ready: int, tmp_path: Path, db: Database) -> None:
    path = _file(tmp_path, "abc", "def")
    told = optout("send", "--program", "Acme", "--text", "x", path)
    assert (told.code, "no number that can be used" in told.err) == (1, True)
    assert the_campaign(db).state == CampaignState.CANCELLED


def test_p11_bad_rows_on_the_screen_and_in_a_file(optout: Run, ready: int, tmp_path: Path) -> None:
    path = _file(tmp_path, ANNA, *["abc"] * 25)
    bad = tmp_path / "bad.csv"
    told = optout("send", "--program", "Acme", "--text", "x", "--no-wait", "--errors", bad, path)
    assert told.err.count("row ") == 20
    assert "… and 5 more bad rows; all of them in" in told.err
    rows = list(csv.reader(lines_of(bad)))
    assert (rows[0], len(rows)) == (["row", "reason"], 26)
    assert rows[1] == ["2", "contains something other than digits"]


class Helper:
    """Plays the worker: each time the command sleeps, it does the next step."""

    def __init__(self, db: Database, settings: Settings, now: datetime) -> None:
        self.db, self.settings, self.now = db, settings, now
        self.steps: list[Callable[[], None]] = []

    def expand(self) -> None:
        campaign_id = the_campaign(self.db).id
        self.db.writer.run(campaigns.expand_batch, campaign_id, self.settings, self.now)

    def set_states(self, *states: State) -> None:
        self.db.writer.run(_set_states, states)

    def __call__(self, seconds: float) -> None:
        self.steps.pop(0)()


def _beat(tx: Transaction, now: datetime) -> None:
    tx.execute(workers.insert(), {"id": "w", "started_at": now, "beat_at": now})


def _set_states(tx: Transaction, states: tuple[State, ...]) -> None:
    ids = tx.execute(sa.select(outbound.c.id).order_by(outbound.c.id)).scalars().all()
    for text_id, state in zip(ids, states, strict=True):
        tx.execute(outbound.update().where(outbound.c.id == text_id).values(state=state))


@pytest.fixture
def helper(db: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Helper:
    helper = Helper(db, settings, now)
    monkeypatch.setattr(send.time, "sleep", helper)
    monkeypatch.setattr(send, "now", lambda: now)
    db.writer.run(_beat, now)
    return helper


def test_waiting_for_the_end(optout: Run, ready: int, tmp_path: Path, helper: Helper) -> None:
    numbers = [f"+4915123456{tail}" for tail in range(100, 106)]
    optout("opt-outs", "import", "--source-note", "n", _file(tmp_path, numbers[0]))
    path = _file(tmp_path, *numbers)
    helper.steps = [
        helper.expand,
        lambda: helper.set_states(*[State.SENDING] * 5),
        lambda: helper.set_states(State.SENT, State.DELIVERED, State.FAILED, State.UNDELIVERED, State.SUPPRESSED),
    ]
    told = optout("send", "--program", "Acme", "--text", "x", path)
    assert (told.code, helper.steps) == (0, [])
    summary = facts(told.out)
    assert {name: summary[name] for name in ("sent", "delivered", "skipped as out", "failed", "not yet sent")} == {
        "sent": "3",
        "delivered": "1",
        "skipped as out": "2",
        "failed": "2",
        "not yet sent": "0",
    }
    assert summary["segments"] == "4"


def test_waiting_ends_when_only_quiet_hours_are_waited_for(
    optout: Run, ready: int, tmp_path: Path, helper: Helper, db: Database
) -> None:
    def until_tomorrow() -> None:
        helper.expand()
        later = helper.now + timedelta(hours=9)
        db.writer.run(lambda tx: tx.execute(outbound.update().values(send_after=later)))

    helper.steps = [until_tomorrow]
    told = optout("send", "--program", "Acme", "--text", "x", _file(tmp_path, ANNA, BERT))
    assert told.code == 0
    assert "2 texts wait for the end of quiet hours" in told.err
    assert (facts(told.out)["held"], facts(told.out)["not yet sent"]) == ("2", "0")


def test_waiting_ends_where_nobody_works(optout: Run, ready: int, listed: Path) -> None:
    told = optout("send", "--program", "Acme", "--text", "x", listed)
    assert (told.code, "No worker is running" in told.err) == (0, True)


def test_ctrl_c_ends_the_waiting_only(optout: Run, ready: int, listed: Path, helper: Helper, db: Database) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    helper.steps = [interrupt]
    told = optout("send", "--program", "Acme", "--text", "x", listed)
    assert (told.code, "goes on by itself" in told.err) == (0, True)
    assert the_campaign(db).state == CampaignState.RUNNING


# --- lists


def test_opt_outs_in_and_out(optout: Run, ready: int, db: Database, listed: Path, tmp_path: Path) -> None:
    told = optout("opt-outs", "import", "--source-note", "old CRM", "--program", "Acme", listed)
    assert told.out == "2 newly out, 1 were out before, 1 bad rows.\n"
    assert "row 3" in told.err
    assert db.reading(optouts.is_out, ANNA, Category.MARKETING, ready)
    out = tmp_path / "out.csv"
    assert optout("opt-outs", "export", "--out", out).err == "2 opt-outs.\n"
    rows = list(csv.DictReader(lines_of(out)))
    assert [row["number"] for row in rows] == [ANNA, BERT]
    assert rows[0]["rule"] == "import:list.csv:2"
    assert optout("opt-outs", "export").out.splitlines()[0].startswith("number,scope")
    shown = optout("opt-outs", "list", ANNA).out
    assert ("import:old CRM" in shown, "She is out." in shown) == (True, True)
    assert "She is not out." in optout("opt-outs", "list", CARA).out


def test_a_long_import_goes_in_groups(optout: Run, db: Database, tmp_path: Path) -> None:
    path = _file(tmp_path, *(f"+49151{number:08}" for number in range(23450000, 23450501)))
    assert optout("opt-outs", "import", "--source-note", "n", path).out.startswith("501 newly out, 0 were")


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--source-note", ""], 2, "source_note is empty"),
        (["--source-note", "n", "--program", "Nobody"], 1, "no program"),
    ],
)
def test_an_import_that_cannot_be(
    optout: Run, db: Database, listed: Path, more: list[str], code: int, told: str
) -> None:
    result = optout("opt-outs", "import", *more, listed)
    assert (result.code, told in result.err) == (code, True)
    assert not db.reading(optouts.is_out, ANNA, Category.MARKETING, None)


def test_a_workbook_is_no_list(optout: Run, ready: int, tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    path.write_bytes(b"PK\x03\x04")
    told = optout("send", "--program", "Acme", "--text", "x", path)
    assert (told.code, "Save the sheet as CSV" in told.err) == (2, True)


def test_the_audit_log_goes_out(optout: Run, db: Database, tmp_path: Path) -> None:
    optout("opt-outs", "import", "--source-note", "n", _file(tmp_path, ANNA, BERT))
    lines = optout("audit", "export", "--format", "jsonl", "--number", ANNA).out.splitlines()
    [event] = [json.loads(line) for line in lines]
    assert (event["action"], event["number"]) == ("opt_out.recorded", ANNA)
    out = tmp_path / "log.csv"
    assert optout("audit", "export", "--out", out).err == "2 events.\n"
    assert len(list(csv.reader(lines_of(out)))) == 3
    assert optout("audit", "export", "--since", "2100-01-01").err == "0 events.\n"
    assert optout("audit", "export", "--until", "2100-01-01T00:00+02:00").err == "2 events.\n"


# --- explaining


def test_classify_says_what_decided(bare: Run) -> None:
    told = facts(bare("classify", "please STOP now [x]").out)
    assert told["intent"] in {"opt_out", "other"}
    told = facts(bare("classify", "STOP", "--country", "DE", "--language", "de").out)
    assert (told["intent"], told["certainty"], told["decided by"]) == ("opt_out", "certain", "STOP")
    advertised = facts(bare("classify", "banane", "--advertised", "BANANE").out)
    assert (advertised["intent"], advertised["rule"].split(":")[0]) == ("opt_out", "advertised")


def test_the_rules_for_a_number(bare: Run) -> None:
    told = bare("regions", "show", "+12125550123", "--at", "2026-11-23T03:00-05:00", "--json")
    shown = json.loads(told.out)
    assert (shown["country"], shown["subdivision"]) == ("US", "US-NY")
    assert shown["time zones"] == ["America/New_York"]
    assert shown["next allowed"] >= "2026-11-23T13:00:00+00:00"
    in_words = bare("regions", "show", "+12125550123", "--at", "2026-11-23T08:00").out
    assert "double opt out" in in_words
    assert "2026-11-23T13:00:00+00:00" in in_words


# --- checking


GOOD = {
    "SECRET_KEY": "x" * 32,
    "PUBLIC_URL": "https://optout.example",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "0" * 32 + "," + "1" * 32,
}


@pytest.fixture
def good(optout: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("good")
def test_when_all_is_well(optout: Run) -> None:
    told = optout("check")
    assert told.code == 0, told.out
    assert "https://optout.example/twilio/inbound#rc=3&rp=ct,rt,5xx" in told.out.splitlines()[-1]
    assert "wrong" not in told.out
    assert "2 tokens" in told.out


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("name", "value", "code", "told"),
    [
        ("SECRET_KEY", None, 1, "wrong   SECRET_KEY: not set"),
        ("PUBLIC_URL", "http://optout.example", 1, "without https"),
        ("PUBLIC_URL", "optout.example", 1, "is no address"),
        ("PUBLIC_URL", "https://optout.example/?a=b", 1, "is no address"),
        ("PUBLIC_URL", "http://127.0.0.1:8000", 0, "warning PUBLIC_URL"),
        ("LINK_URL", "http://ex.am", 1, "wrong   LINK_URL"),
        ("LINK_URL", "https://ex.am", 0, "ok      LINK_URL"),
        ("TWILIO_ACCOUNT_SID", None, 1, "TWILIO_ACCOUNT_SID: not set"),
        ("TWILIO_ACCOUNT_SID", "SK" + "0" * 32, 1, "has not the shape"),
        ("TWILIO_AUTH_TOKEN", "0" * 32 + ",short", 1, "has not the shape"),
        ("TWILIO_API_URL", "http://127.0.0.1:8001", 0, "do not go to Twilio itself"),
    ],
)
def test_what_is_wrong_is_named(
    optout: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, code: int, told: str
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    result = optout("check")
    assert (result.code, told in result.out) == (code, True), result.out


@pytest.mark.usefixtures("good")
def test_an_old_schema_is_told(optout: Run, db: Database, settings: Settings) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    result = optout("check")
    assert "optout migrate" in result.out
    assert result.code == (0 if settings.is_sqlite else 1)


@pytest.mark.usefixtures("good")
def test_a_database_that_does_not_answer_is_told_without_its_password(
    bare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x")
    result = bare("check")
    assert (result.code, "wrong   DATABASE_URL" in result.out, "hunter2" in result.out) == (1, True, False)


def test_the_webhooks_address(settings: Settings) -> None:
    assert check.webhook(settings) == "https://optout.example/twilio/inbound#rc=3&rp=ct,rt,5xx"


def test_who_is_at_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    assert common.actor() == "cli:anna"
    monkeypatch.setattr("getpass.getuser", _nobody)
    assert common.actor() == "cli"


def _nobody() -> str:
    raise OSError("no entry")

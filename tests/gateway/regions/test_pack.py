import csv
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from gateway.regions import Limit, PackError, load, packaged
from gateway.regions.format import CHOICES, CONFIDENCES, LAYERS, Statement
from gateway.regions.windows import window

MEMBERS = """AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE
AX GP MQ GF RE YT MF"""
OTHERS = "US PR VI GU MP AS CA GB JE GG IM GI NO IS LI CH"
COUNTRIES = f"{MEMBERS} {OTHERS}".split()
CSV = Path(__file__).parents[4] / "shared" / "regions" / "regions.csv"

ZZ = """
name = "Everywhere else"
group = "fallback"
inherits = "none"
review_by = 2027-01-01
[[rule]]
row = "ZZ"
layer = "product"
honour = ["immediate"]
confirmation = "unknown"
double_opt_out = "offer_after"
default_scope = "marketing"
keywords = ["STOP"]
languages = ["en"]
two_way_sms = "unknown"
legal_basis = "none"
source = ["ours"]
valid_from = "open"
valid_to = "open"
read_on = 2026-11-22
confidence = "recalled"
"""
QQ = """
name = "Somewhere"
group = "other"
inherits = "ZZ"
review_by = 2027-01-01
[[rule]]
row = "QQ"
layer = "law"
confirmation = "allowed"
confirmation_within_minutes = 5
double_opt_out = "no"
reason_no_double_opt_out = "s. 1"
quiet_start = "21:00"
quiet_end = "08:00"
quiet_days = ["sun"]
honour = ["3 days"]
legal_basis = "Act s. 1"
source = ["https://law.example"]
valid_from = 2020-01-01
valid_to = "open"
read_on = 2026-11-22
confidence = "read"
"""


def named(statement: Statement) -> str:
    return f"{statement.row}-{statement.layer}-{statement.key}-{statement.valid_from.year}"


@pytest.mark.parametrize("country", COUNTRIES)
def test_every_jurisdiction_has_a_file(country: str) -> None:
    assert country in packaged().countries


def test_the_23_states_and_quebec_have_rows() -> None:
    assert len(packaged().countries["US"].rows) == 23
    assert packaged().countries["CA"].rows == ("CA-QC",)


@pytest.mark.parametrize("statement", packaged().statements, ids=named)
def test_every_value_carries_its_evidence(statement: Statement) -> None:
    assert statement.legal_basis
    assert all(statement.source)
    assert statement.layer in LAYERS
    assert statement.confidence in CONFIDENCES
    assert statement.valid_from < statement.valid_to
    assert statement.read_on >= date(2026, 11, 22)
    if statement.key in CHOICES:
        assert statement.value in CHOICES[statement.key]
    if statement.source == ("recalled",):
        assert statement.confidence == "recalled"
    if statement.key == "keywords":
        assert all(word == word.upper().strip() for word in statement.value)
    if statement.key == "languages":
        assert all(re.fullmatch(r"[a-z]{2,3}", code) for code in statement.value)


def rows_of_the_research() -> list[dict[str, str]]:
    if not CSV.exists():
        return []
    with CSV.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row for row in rows if row["country"] in COUNTRIES]


@pytest.mark.skipif(not CSV.exists(), reason="the research table stands beside the repository, not in it")
@pytest.mark.parametrize("row", rows_of_the_research(), ids=lambda row: row["subdivision"] or row["country"])
class TestAgainstTheResearch:
    """Every cell of the research is in the data, or inherited with the same value."""

    day = date(2027, 2, 1)

    def values(self, row: dict[str, str], key: str) -> list[object]:
        pack, place = packaged(), row["subdivision"] or row["country"]
        chain = [place, row["country"]]
        while chain[-1] != "ZZ":
            chain.append(pack.countries[chain[-1]].inherits)
        for code in chain:
            if stated := pack.stated(code, key, self.day):
                return [statement.value for statement in stated]
        return []

    def test_window(self, row: dict[str, str]) -> None:
        if not row["quiet_start"]:
            return
        days = [day for day in row["quiet_days"].split("|") if day]
        assert self.values(row, "window") == [window(row["quiet_start"], row["quiet_end"], days)]

    def test_deadline(self, row: dict[str, str]) -> None:
        if not row["honour_within"]:
            return
        limit = Limit(int(row["honour_within"]), row["honour_unit"])
        assert any(limit in value for value in self.values(row, "honour"))  # type: ignore[operator]

    def test_scope(self, row: dict[str, str]) -> None:
        if row["default_scope"] and row["subdivision"] != "US-VA":  # which cannot lift the federal rule
            expected = {"sender": "marketing", "programme": "program", "all": "all"}[row["default_scope"]]
            assert self.values(row, "default_scope") == [expected]

    @pytest.mark.parametrize(("column", "key"), [("confirmation", "confirmation"), ("two_way_sms", "two_way_sms")])
    def test_choice(self, row: dict[str, str], column: str, key: str) -> None:
        if row[column]:
            assert self.values(row, key) == [row[column]]

    @pytest.mark.parametrize("key", ["keywords", "languages"])
    def test_lists(self, row: dict[str, str], key: str) -> None:
        if not row[key]:
            return
        stated = {word for value in self.values(row, key) for word in value}  # type: ignore[attr-defined]
        assert set(row[key].split("|")) <= stated

    def test_no_double_opt_out(self, row: dict[str, str]) -> None:
        assert row["double_opt_out_allowed"] == "no"
        assert self.values(row, "double_opt_out") == ["no"]

    def test_retention_and_label(self, row: dict[str, str]) -> None:
        if row["record_retention_years"]:
            assert self.values(row, "retention_years") == [int(row["record_retention_years"])]
        if row["label"]:
            assert self.values(row, "label")


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.toml").write_text(text, encoding="utf-8")
    return directory


def test_a_small_pack(tmp_path: Path) -> None:
    pack = load(write(tmp_path, ZZ=ZZ, QQ=QQ))
    (stated,) = pack.stated("QQ", "honour", date(2026, 1, 1))
    assert stated.value == (Limit(3, "days"),)
    assert (stated.legal_basis, stated.source) == ("Act s. 1", ("https://law.example",))


@pytest.mark.parametrize(
    ("day", "stated"),
    [(date(2019, 12, 31), 0), (date(2020, 1, 1), 1), (date(2021, 12, 31), 1), (date(2022, 1, 1), 0)],
)
def test_a_value_holds_from_its_first_day_to_the_day_before_its_last(
    tmp_path: Path, day: date, stated: int
) -> None:
    dated = QQ.replace('valid_to = "open"', "valid_to = 2022-01-01")
    assert len(load(write(tmp_path, ZZ=ZZ, QQ=dated)).stated("QQ", "honour", day)) == stated


def test_the_version_changes_with_any_byte(tmp_path: Path) -> None:
    before = load(write(tmp_path, ZZ=ZZ, QQ=QQ)).version
    assert load(tmp_path).version == before
    assert load(write(tmp_path, QQ=QQ + "# read again\n")).version != before
    assert re.fullmatch("[0-9a-f]{12}", before)


def line(key: str, value: str | None) -> Callable[[str], str]:
    """Replaces the line of a key in the rule block, or drops it."""
    return lambda text: re.sub(rf"(?m)^{key} = .*\n", f"{key} = {value}\n" if value else "", text)


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (line("legal_basis", None), "row QQ, key legal_basis: missing"),
        (line("legal_basis", '""'), "row QQ, key legal_basis: missing"),
        (line("source", None), "row QQ, key source: missing"),
        (line("source", "[]"), "row QQ, key source: missing"),
        (line("source", '"https://law.example"'), "row QQ, key source"),
        (line("valid_from", None), "row QQ, key valid_from: missing"),
        (line("valid_to", None), "row QQ, key valid_to: missing"),
        (line("valid_to", '"later"'), "row QQ, key valid_to"),
        (line("valid_to", "2020-01-01"), "row QQ, key valid_to: not after valid_from"),
        (line("valid_from", "2020-01-01T00:00:00Z"), "row QQ, key valid_from"),
        (line("read_on", None), "row QQ, key read_on: missing"),
        (line("read_on", '"today"'), "row QQ, key read_on"),
        (line("confidence", '"sure"'), "row QQ, key confidence"),
        (line("layer", '"custom"'), "row QQ, key layer"),
        (line("row", '"DE"'), "row DE, key row"),
        (line("row", '"QQ-TOOLONG"'), "row QQ-TOOLONG, key row"),
        (line("honour", '["soon"]'), "row QQ, key honour"),
        (line("honour", '["0 days"]'), "row QQ, key honour"),
        (line("honour", "3"), "row QQ, key honour"),
        (line("confirmation", '"maybe"'), "row QQ, key confirmation"),
        (line("confirmation", '"forbidden"'), "row QQ, key confirmation_within_minutes"),
        (line("confirmation", None), "row QQ, key confirmation_within_minutes"),
        (line("confirmation_within_minutes", "0"), "row QQ, key confirmation_within_minutes"),
        (line("confirmation_within_minutes", "true"), "row QQ, key confirmation_within_minutes"),
        (line("reason_no_double_opt_out", None), "row QQ, key reason_no_double_opt_out"),
        (line("double_opt_out", '"offer_after"'), "row QQ, key reason_no_double_opt_out"),
        (line("quiet_start", None), "row QQ, key quiet_end"),
        (line("quiet_end", None), "row QQ, key quiet_end"),
        (line("quiet_end", '"22:00"'), "row QQ, key window"),
        (line("quiet_days", '["sun:07:00-09:00"]'), "row QQ, key window"),
        (line("honour", '["3 days"]\ncolour = "red"'), "row QQ, key colour: unknown key"),
        (line("group", '"moon"'), "key group"),
        (line("group", None), "key group: missing"),
        (line("review_by", '"soon"'), "key review_by"),
        (line("name", '"Somewhere"\nflag = 1'), "key flag: unknown key"),
        (line("inherits", '"XX"'), "row QQ, key inherits"),
        (line("inherits", '"QQ"'), "row QQ, key inherits"),
        (line("inherits", '"none"'), "row QQ, key inherits"),
        (lambda text: text + text[text.index("[[rule]]") :], "two values on the same day"),
        (lambda text: text + "[[", "not TOML"),
    ],
)
def test_a_bad_pack_is_refused_with_file_row_and_key(
    tmp_path: Path, spoil: Callable[[str], str], place: str
) -> None:
    spoilt = spoil(QQ)
    assert spoilt != QQ
    with pytest.raises(PackError, match=r"^QQ\.toml") as caught:
        load(write(tmp_path, ZZ=ZZ, QQ=spoilt))
    assert place in str(caught.value)


def test_a_block_without_a_value_is_refused(tmp_path: Path) -> None:
    empty = QQ[: QQ.index("confirmation =")] + QQ[QQ.index("legal_basis") :]
    with pytest.raises(PackError, match=r"QQ\.toml, row QQ, key -: states no value"):
        load(write(tmp_path, ZZ=ZZ, QQ=empty))


def test_two_layers_may_state_the_same_key_and_years_may_follow_each_other(tmp_path: Path) -> None:
    block = QQ[QQ.index("[[rule]]") :]
    carrier = block.replace('layer = "law"', 'layer = "carrier"')
    before = line("valid_to", "2020-01-01")(line("valid_from", '"open"')(block))
    pack = load(write(tmp_path, ZZ=ZZ, QQ=QQ + carrier + before))
    assert [s.layer for s in pack.stated("QQ", "honour", date(2026, 1, 1))] == ["law", "carrier"]
    assert len(pack.stated("QQ", "honour", date(2019, 1, 1))) == 1


@pytest.mark.parametrize(
    "key",
    ["honour", "confirmation", "double_opt_out", "default_scope", "keywords", "languages", "two_way_sms"],
)
def test_the_fallback_has_to_state_everything(tmp_path: Path, key: str) -> None:
    with pytest.raises(PackError, match=f"ZZ.toml, row ZZ, key {key}: missing"):
        load(write(tmp_path, ZZ=line(key, None)(ZZ)))


def test_the_fallback_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(PackError):
        load(tmp_path)
    with pytest.raises(PackError, match="inherits"):
        load(write(tmp_path, QQ=QQ))

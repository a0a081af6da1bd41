"""The house rules of DESIGN section 4, checked on the imports and the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Migrations are written once and tell of tables, not of rules.
SOURCES = sorted(
    path
    for path in [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("keywords/**/*.py")]
    if "migrations/versions" not in path.as_posix()
)
PURE = (
    "keywords/",
    "gateway/phone.py",
    "gateway/segments.py",
    "gateway/links.py",
    "gateway/regions/",
    "gateway/replies/",
)
WEB = ("gateway/app.py", "gateway/web/", "gateway/serve.py")
TWILIO = ("gateway/carrier/twilio.py", "gateway/web/signatures.py", "gateway/carrier/sandbox/")
IO_MODULES = {"sqlalchemy", "sqlmodel", "starlette", "aiohttp", "twilio", "dbos", "socket", "sqlite3", "asyncio"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(package: str, allowed: tuple[str, ...]) -> list[str]:
    return [
        name_of(path)
        for path in SOURCES
        if not name_of(path).startswith(allowed)
        and any(module.split(".")[0] == package for module in imported(path))
    ]


def test_keywords_know_nothing_of_the_gateway() -> None:
    keywords = [path for path in SOURCES if name_of(path).startswith("keywords/")]
    assert keywords
    assert not [name_of(p) for p in keywords if any(m.split(".")[0] == "gateway" for m in imported(p))]


@pytest.mark.parametrize("path", [p for p in SOURCES if name_of(p).startswith(PURE)], ids=name_of)
def test_pure_modules_do_no_io(path: Path) -> None:
    assert not IO_MODULES & {module.split(".")[0] for module in imported(path)}
    assert "datetime.now" not in path.read_text(encoding="utf-8")


def test_twilio_is_imported_by_the_carrier_and_the_signature_check_only() -> None:
    assert offenders("twilio", TWILIO) == []


def test_starlette_stays_at_the_doors() -> None:
    assert offenders("starlette", WEB) == []


def test_phonenumbers_is_imported_in_one_place() -> None:
    assert offenders("phonenumbers", ("gateway/phone.py",)) == []


def test_dbos_stays_behind_jobs() -> None:
    assert offenders("dbos", ("gateway/jobs.py",)) == []


def test_no_orm_session_anywhere() -> None:
    """Verbs get a Transaction, queries a Connection; so none can be inside `async def` either."""
    names = {"sqlalchemy.orm", "sqlmodel.Session", "sqlalchemy.ext.asyncio", "sqlalchemy.orm.Session"}
    assert not [name_of(path) for path in SOURCES if names & set(imported(path))]


def written_tables(path: Path) -> set[str]:
    """Names before `.insert()`, and inside `insert(…)`, `update(…)`, `delete(…)`, `insert_new(…)`, `later(…)`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in {"insert", "update", "delete"}:
            found.add(ast.unparse(called.value))
        verb = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        if verb in {"insert", "update", "delete", "insert_new", "later"} and node.args:
            found.add(ast.unparse(node.args[0]))
    return found


@pytest.mark.parametrize(
    ("table", "names", "owner"),
    [
        ("opt_outs", {"opt_outs", "optouts.opt_outs", "OptOut", "OptOut.__table__"}, "gateway/optouts.py"),
        ("audit_events", {"events", "audit.events", "AuditEvent", "AuditEvent.__table__"}, "gateway/audit.py"),
    ],
)
def test_one_writer(table: str, names: set[str], owner: str) -> None:
    writers = [name_of(path) for path in SOURCES if names & written_tables(path)]
    assert writers == [owner]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield f"{name_of(path)}:{node.name}", node.end_lineno - node.lineno + 1


def test_functions_stay_under_50_lines() -> None:
    assert not [(name, lines) for path in SOURCES for name, lines in functions(path) if lines > 50]


def test_modules_stay_under_300_lines() -> None:
    long = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert not {name: lines for name, lines in long.items() if lines > 300}

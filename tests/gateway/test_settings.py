from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import load


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_any_spelling_of_postgresql(given: str, driver: str) -> None:
    assert load(database_url=given).database_url == driver


def test_secrets_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("abc, def\n", encoding="utf-8")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_FILE", str(tmp_path / "token"))
    assert load().auth_tokens == ["abc", "def"]
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "env")
    assert load().auth_tokens == ["env"]


def test_the_newest_key_signs() -> None:
    assert load(secret_key="new", secret_key_fallbacks="oldest, old").secret_keys == ["oldest", "old", "new"]


def test_nothing_secret_shows() -> None:
    settings = load(secret_key="hush-hush", twilio_auth_token="hush-hush")
    assert "hush-hush" not in repr(settings)


def test_a_wrong_value_names_the_setting_and_not_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        load(db_pool_size="hush-hush")
    assert "db_pool_size" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(("grace", "timeout", "fine"), [(20, 10, True), (19.9, 10, False), (60, 31, False)])
def test_the_grace_outlasts_a_call(grace: float, timeout: float, fine: bool) -> None:
    """P8: or a text would be queued again while it is still on its way."""
    if fine:
        settings = load(doubt_grace=grace, twilio_timeout=timeout)
        assert settings.send_within + timeout <= settings.doubt_grace
    else:
        with pytest.raises(ValidationError, match="DOUBT_GRACE"):
            load(doubt_grace=grace, twilio_timeout=timeout)


@pytest.mark.parametrize("url", ["https://a.example/", "https://a.example", "https://me:pw@a.example/#x"])
def test_the_url_as_twilio_signs_it(url: str) -> None:
    assert load(public_url=url, link_url=url).public_url == "https://a.example"
    assert load(public_url=url, link_url=url).link_url == "https://a.example"


@pytest.mark.parametrize(
    ("url", "lanes", "expected"), [("sqlite:///x", 4, 1), ("postgres://h/d", None, 2), ("postgres://h/d", 4, 4)]
)
def test_lanes(url: str, lanes: int | None, expected: int) -> None:
    assert load(database_url=url, writer_lanes=lanes).lanes == expected

"""The build fails when a setting, command, endpoint or version is undocumented, or a documented one is gone."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import gateway
from gateway.cli import app
from gateway.settings import Settings
from gateway.web import api, recipients, webhooks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def commands() -> set[str]:
    found = set()
    for name, command in typer.main.get_group(app).commands.items():
        subs = getattr(command, "commands", None)
        found |= {f"{name} {sub}" for sub in subs} if subs else {name}
    return found


def documented_commands() -> set[str]:
    found = set()
    for line in re.findall(r"^\| (`optout .+?) \|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", line)
        words = first.removeprefix("optout ").split()
        found |= {" ".join(words)} | {f"{words[0]} {other}" for other in others}
    return found


def test_every_command_is_in_the_readme() -> None:
    assert documented_commands() == commands()


def test_every_command_teaches() -> None:
    for name, command in typer.main.get_group(app).commands.items():
        for one in getattr(command, "commands", {name: command}).values():
            assert one.help, one.name
            assert "Example" in one.help or one.name == "list", one.name


def test_the_readmes_commands_have_their_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipients.csv").touch()
    block = README.split("## Use it with Twilio")[1].split("```")[1]
    group = typer.main.get_group(app)
    for line in re.findall(r"^optout (.+?)(?:\s+#.*)?$", block, re.MULTILINE):
        words = shlex.split(line)
        command: Any = group.commands[words[0]]
        if hasattr(command, "commands"):
            command, words = command.commands[words[1]], words[1:]
        # Raises a usage error for an option that is not there, or is missing.
        assert command.make_context(words[0], words[1:]).command is command


def test_every_setting_is_in_the_readme() -> None:
    section = README.split("### Settings")[1].split("### HTTP")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == {
        name.upper() for name in Settings.model_fields
    }


def test_every_setting_has_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("routes", [webhooks.routes, recipients.routes, api.routes])
def test_every_door_is_in_the_readme(routes: list[object]) -> None:
    for route in routes:
        path = str(getattr(route, "path", ""))
        root = "/".join(path.split("/")[:3])
        assert root in README or f"{root.rsplit('/', 1)[0]}/…" in README, path


def test_the_version_is_in_the_changelog() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{gateway.__version__}"' in pyproject
    assert f"## {gateway.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest.*$", README, re.MULTILINE)
    assert command in CI.splitlines()


def test_the_lock_names_every_dependency() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    for name in re.findall(r'^ {4}"([\w-]+)(?:\[[\w,]+\])?[><=~]', pyproject, re.MULTILINE):
        assert re.search(rf"^{name.lower()}(\[\w+\])?==", locked, re.MULTILINE), name

"""What is declared, what is locked and what is documented agree."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _declared() -> set[str]:
    project = _project()
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    names = {Requirement(each).name for each in chain.from_iterable(groups)}
    return names - {project["project"]["name"]}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_pins_every_package_with_hashes_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index" not in text.replace("import-linter", "")
    entries = re.split(r"\n(?=[a-z0-9])", text)
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_locks_hold_every_declared_package() -> None:
    locked: set[str] = set()
    for name in ("dev.txt", "peers.txt"):
        text = (ROOT / "requirements" / name).read_text()
        locked |= set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    assert _declared() <= locked


def test_the_runtime_lock_agrees_with_the_development_lock() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text()
        return set(re.findall(r"^([a-z0-9._-]+==[^ \\;]+)", text, re.MULTILINE))

    assert pins("runtime.txt") <= pins("dev.txt")
    assert pins("uv.txt") <= pins("dev.txt")


def test_every_direct_dependency_is_documented() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    documented = set(re.findall(r"[a-z0-9-]+", text))
    assert not _declared() - documented


def test_every_make_target_is_described_and_the_phony_list_is_whole() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    described = set(re.findall(r"^([a-z][a-z-]*):.*## ", text, re.MULTILINE))
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    assert targets == described == set(phony[1].replace("\\\n", " ").split())

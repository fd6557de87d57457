"""docs/metrics.md lists exactly the series there are, and the alerts ask for series that exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import services

ROOT = Path(__file__).resolve().parents[3]
_ROW = re.compile(r"^\| `(crescendo_\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", re.MULTILINE)
_DURATION = re.compile(r"\d+[smhd]")
_FUNCTIONS = frozenset(
    {"by", "unless", "or", "sum", "max", "rate", "increase", "histogram_quantile", "scalar"}
)


@cache
def _series() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Every series any role registers: its kind, labels and description."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        # These are programs: they run when imported.
        if module.name.rsplit(".", 1)[1] not in ("__main__", "child", "guard"):
            importlib.import_module(module.name)
    collectors: list[Any] = list(REGISTRY._collector_to_names)
    return {
        each._name: (each._type, tuple(each._labelnames), each._documentation)
        for each in collectors
        if getattr(each, "_name", "").startswith("crescendo")
    }


def test_every_series_is_documented_as_it_is() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), words)
        for name, kind, labels, words in _ROW.findall(text)
    }
    assert documented == _series()


def test_every_series_is_named_for_where_it_comes_from_and_its_unit() -> None:
    for name, (kind, _, words) in _series().items():
        assert name.split("_")[1] in ("store", "coordinator", "worker", "rpc"), name
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert words.endswith("."), name


def _rules() -> list[dict[str, Any]]:
    path = ROOT / "deploy" / "prometheus-rules.yml"
    loaded: Any = YAML(typ="safe").load(path.read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def _exported() -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for name, (kind, labels, _) in _series().items():
        ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
        for end in ends[kind]:
            names[name + end] = {*labels, "instance", *(["le"] if end == "_bucket" else [])}
    return names


def test_the_rules_have_what_prometheus_wants() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"Crescendo\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert _DURATION.fullmatch(rule.get("for", "0s"))
        for words in rule["annotations"].values():
            assert words.count("{{") == words.count("}}")


@pytest.mark.parametrize("rule", _rules(), ids=lambda each: str(each["alert"]))
def test_a_rule_asks_for_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    _check_brackets(expression)
    exported = _exported()
    names = re.findall(r"\bcrescendo_\w+", expression)
    assert names or expression.startswith("up{")
    for name in names:
        assert name in exported, name
    for name, matchers in re.findall(r"\b(crescendo_\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)=~?\"", matchers):
            assert label in exported[name], f"{name} has no label {label}"
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        for label in re.split(r",\s*", labels):
            assert any(label in exported[name] for name in names), label
    for ranged in re.findall(r"\[(.*?)\]", expression):
        assert _DURATION.fullmatch(ranged)
    words = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", " ", expression)
    unknown = set(re.findall(r"[a-z_]\w*", words)) - set(names) - _FUNCTIONS - {"up"}
    assert not unknown


def _check_brackets(expression: str) -> None:
    opened: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for character in re.sub(r'"[^"]*"', '""', expression):
        if character in pairs.values():
            opened.append(character)
        elif character in pairs:
            assert opened
            assert opened.pop() == pairs[character]
    assert not opened

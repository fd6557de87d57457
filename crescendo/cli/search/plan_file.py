"""What a plan's file says: its stages, and spaces and points by model type or model run id."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from crescendo.cli import space_arguments
from crescendo.cli.arguments import BadArgument, read_json
from crescendo.client.model import PlanStage, Pruning, StoppingRules
from crescendo.client.spaces import Distribution
from crescendo.client.values import GivenValue

_WANTED: dict[str, tuple[type | tuple[type, ...], str]] = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "str": (str, "text"),
    "bool": (bool, "true or false"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A plan as it was written.

    Attributes:
        points: what is tried first.
    """

    stages: list[PlanStage]
    grids: dict[str, space_arguments.ReadGrids]
    distributions: dict[str, dict[str, Distribution]]
    spaces: dict[str, dict[str, Any]]
    scales: dict[str, dict[str, str]]
    points: dict[str, list[dict[str, GivenValue]]]


def parse_plan(text: str) -> PlanFile:
    """Reads a plan's JSON, inline or a file.

    Raises:
        BadArgument: it cannot be understood.
    """
    content = read_json(text)
    if not isinstance(content, dict) or not isinstance(content.get("stages"), list):
        raise BadArgument(
            'the plan must be a JSON object with "stages", such as'
            ' {"stages": [{"method": "random_search"}, {"method": "bayesian"}]}'
        )
    _check_names("the plan", content, [each.name for each in fields(PlanFile)])
    return PlanFile(
        stages=[_stage(each, place) for place, each in enumerate(content["stages"], start=1)],
        grids=space_arguments.grids_of(content.get("grids", {})),
        distributions={
            key: space_arguments.texts_to_distributions(key, each)
            for key, each in _objects(content, "distributions")
        },
        spaces=dict(_objects(content, "spaces")),
        scales=space_arguments.scales_of(content.get("scales", {})),
        points={key: _points(key, each) for key, each in _members(content, "points").items()},
    )


def _members(content: dict[str, Any], name: str) -> dict[str, Any]:
    given = content.get(name, {})
    if not isinstance(given, dict):
        raise BadArgument(f'"{name}" of the plan must be an object by model type or model run')
    return given


def _objects(content: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    members = _members(content, name)
    for key, each in members.items():
        if not isinstance(each, dict):
            raise BadArgument(f'"{name}" of {key} must be an object')
    return list(members.items())


def _points(key: str, given: Any) -> list[dict[str, GivenValue]]:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise BadArgument(f'"points" of {key} must be a list of objects such as [{{"C": 10}}]')
    return [
        {name: tuple(value) if isinstance(value, list) else value for name, value in point.items()}
        for point in given
    ]


def _stage(content: Any, place: int) -> PlanStage:
    what = f"stage {place}"
    if not isinstance(content, dict) or not isinstance(content.get("method"), str):
        raise BadArgument(f'{what} must be an object with a "method", such as "random_search"')
    given = _figures(what, content, PlanStage)
    parameters = content.get("parameters", [])
    if not isinstance(parameters, list) or not all(isinstance(each, str) for each in parameters):
        raise BadArgument(f'"parameters" of {what} must be a list of names')
    given["parameters"] = tuple(parameters)
    if (rules := content.get("stopping")) is not None:
        given["stopping"] = StoppingRules(**_figures(f'"stopping" of {what}', rules, StoppingRules))
    if (pruning := content.get("pruning")) is not None and not isinstance(pruning, str):
        given["pruning"] = Pruning(**_figures(f'"pruning" of {what}', pruning, Pruning))
    return PlanStage(**given)


def _figures(what: str, content: Any, kind: type) -> dict[str, Any]:
    """Checks that an object has a dataclass's names, and plain values of the kinds it annotates."""
    if not isinstance(content, dict):
        raise BadArgument(f"{what} must be an object")
    # The annotations are text: `int | None`.
    kinds = {each.name: str(each.type).partition(" ")[0] for each in fields(kind)}
    _check_names(what, content, list(kinds))
    for name, value in content.items():
        if value is None or kinds[name] not in _WANTED:
            continue
        types, words = _WANTED[kinds[name]]
        if not isinstance(value, types) or isinstance(value, bool) is not (types is bool):
            raise BadArgument(f'"{name}" of {what} is {value!r}, must be {words}')
    return dict(content)


def _check_names(what: str, content: dict[str, Any], known: list[str]) -> None:
    unknown = [each for each in content if each not in known]
    if unknown:
        raise BadArgument(
            f"{what} has {', '.join(repr(each) for each in unknown)}; known: {', '.join(known)}"
        )

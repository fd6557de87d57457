"""The space a request asks for: a grid, distributions, a typed space, or the model type's default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.coordinator.ports import ModelRun
from services.coordinator.service.requests import Json
from services.coordinator.service.scales import check_scales, with_scales
from services.core.binding_checks import check_group_grids
from services.core.counting import cardinality
from services.core.grid import gridded, parse_grid_list, parse_param_grid
from services.core.limits import MAX_GRID_POINTS, MAX_GRIDS
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import NO_TYPES_OFFERED, searchable_parameters
from services.core.parameter_schema import ParameterSchema, shown_values
from services.core.plan import GRID_SEARCH
from services.core.space import (
    FloatRange,
    Grid,
    IntRange,
    SearchSpace,
)
from services.core.space_checks import check_alternatives, check_distributions, check_space
from services.core.space_request import DistributionRequest, SpaceRequest, values_by_name
from services.core.step_choices import choosable, with_step_choices
from services.core.violations import Violations

# Methods that do not try every point take spaces of any size that can still be counted.
_COUNTABLE_POINTS = 2**62
_MOST_RESOLUTION = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSpace:
    """What a request says about the space of one model run.

    Attributes:
        grid: None when the request brought none; a map that is empty counts as none in proto3.
        scales: `log` or `linear` by parameter, of the ranges between lists of numbers.
        grid_list: grids that are searched together, instead of all else; empty for none.
        grid_field: path of the grid in the request, as the other two paths are of theirs.
    """

    grid: Mapping[str, Json] | None = None
    grid_list: Sequence[Mapping[str, Json]] = ()
    distributions: Mapping[str, DistributionRequest] = field(default_factory=dict)
    search_space: SpaceRequest | None = None
    scales: Mapping[str, str] = field(default_factory=dict)
    scales_field: str = "scales"
    grid_field: str = "param_grid"
    grid_list_field: str = "param_grid_list"
    distributions_field: str = "distributions"
    space_field: str = "search_space"

    @property
    def is_empty(self) -> bool:
        """Whether the request says nothing."""
        return not self.given

    @property
    def given(self) -> list[str]:
        """The paths of what the request says."""
        said = {
            self.grid_field: self.grid is not None,
            self.grid_list_field: bool(self.grid_list),
            self.distributions_field: bool(self.distributions),
            self.space_field: self.search_space is not None,
        }
        return [field for field, present in said.items() if present]

    @property
    def field(self) -> str:
        """The path of what the request says first; of its grid, which it could give, if it says nothing."""
        return next(iter(self.given), self.grid_field)


def check_resolution(found: Violations, resolution: int) -> None:
    """Checks how many values a grid is to take of a range."""
    if not 2 <= resolution <= _MOST_RESOLUTION:
        found.add(
            "grid_resolution",
            f"{resolution} is outside 2 to {_MOST_RESOLUTION:,}; 5 is usual",
        )


def read_space(
    model_run: ModelRun, asked: AskedSpace, *, method: str, resolution: int
) -> SearchSpace:
    """Reads the space a request asks for; without one, the default without what the model run fixes.

    Args:
        method: of the first stage: a grid search limits how many points there may be.
        resolution: values a grid takes of a range without a step.

    Raises: InvalidRequest.
    """
    found = Violations()
    parts = asked.grid is not None or bool(asked.distributions)
    for path, what in (
        (asked.space_field, "the typed space"),
        (asked.grid_list_field, "the list of grids"),
    ):
        others = [each for each in asked.given if each != path]
        # Of two that go with nothing else one word is enough.
        if path in asked.given and others and not found:
            found.add(
                path,
                f"is given beside {' and '.join(others)}; give {what} alone, or leave it out",
            )
    if asked.is_empty:
        space = with_scales(
            _default_space(model_run, asked.grid_field), asked.scales, asked.scales_field, found
        )
        found.raise_if_any()
        return space
    space = SearchSpace(parameters=())
    limit = MAX_GRID_POINTS if method == GRID_SEARCH else _COUNTABLE_POINTS
    if asked.search_space is not None:
        with found.gathered():
            space = _typed(model_run, asked.search_space, asked.space_field)
    if asked.grid_list:
        with found.gathered():
            # Of too many none is looked at: there may be a hundred thousand.
            looked_at = asked.grid_list[:MAX_GRIDS]
            space = parse_grid_list(
                asked.grid_list,
                [schemas_of(model_run, listed_values(each)) for each in looked_at],
                field=asked.grid_list_field,
                max_points=limit,
            )
    if parts:
        with found.gathered():
            offered = listed_values(asked.grid or {}) | chosen_values(asked.distributions)
            space = _of_parts(asked, schemas_of(model_run, offered), limit)
    if found:
        # The lists they are for are refused: only what needs none of them can be said.
        check_scales(asked.scales, _names_of_lists(asked), asked.scales_field, found)
    found.raise_if_any()
    steps = choosable(MODEL_TYPES[model_run.model_type], model_run.steps)
    space = SearchSpace.of_alternatives(
        with_step_choices(each, steps, path, found)
        for each, path in zip(space.parts, _paths(asked, len(space.parts)), strict=True)
    )
    space = with_scales(space, asked.scales, asked.scales_field, found)
    found.raise_if_any()
    if method == GRID_SEARCH and 2 <= resolution <= _MOST_RESOLUTION:
        field = asked.space_field if asked.search_space is not None else asked.distributions_field
        _check_grid(space, resolution, field, found)
    found.raise_if_any()
    return space


def refuse_scales(asked: AskedSpace) -> None:
    """Refuses scales of a preset space, whose ranges have their own.

    Raises: InvalidRequest.
    """
    found = Violations()
    if asked.scales:
        found.add(
            asked.scales_field,
            "goes with lists of numbers, and a preset space has ranges with scales of their own; leave"
            " it out, or give a grid",
        )
    found.raise_if_any()


def schemas_of(
    model_run: ModelRun, offered: Mapping[str, Iterable[object]] = NO_TYPES_OFFERED
) -> dict[str, ParameterSchema]:
    """The parameters of a model run that may be searched, those of steps as `step__parameter`.

    Args:
        offered: values given to steps by name, some of which are types.
    """
    return searchable_parameters(MODEL_TYPES[model_run.model_type], model_run.steps, offered)


def listed_values(grid: Mapping[str, object]) -> dict[str, Iterable[object]]:
    """The values a grid lists by name; what is no list is left out, and refused elsewhere."""
    return {name: each for name, each in grid.items() if isinstance(each, list | tuple)}


def chosen_values(
    distributions: Mapping[str, DistributionRequest],
) -> dict[str, Iterable[object]]:
    """The values that distributions choose from, by name."""
    return {name: each.values or () for name, each in distributions.items()}


def _names_of_lists(asked: AskedSpace) -> list[str]:
    """The names of all parameters that may have lists of values, in grids and typed spaces."""
    names = [*(asked.grid or {})]
    for grid in asked.grid_list:
        names += grid
    if asked.search_space is not None:
        for part in (asked.search_space, *asked.search_space.alternatives):
            names += [each.name for each in part.parameters]
    return list(dict.fromkeys(names))


def _typed(model_run: ModelRun, request: SpaceRequest, field: str) -> SearchSpace:
    if request.alternatives:
        looked_at = request.alternatives[:MAX_GRIDS]
        known = [schemas_of(model_run, values_by_name(each)) for each in looked_at]
        return check_alternatives(request, known, field=field)
    return check_space(request, schemas_of(model_run, values_by_name(request)), field=field)


def _paths(asked: AskedSpace, count: int) -> list[Callable[[str], str]]:
    """How to write where a parameter stands, for each part of the space asked for."""
    if asked.grid_list:
        listed = asked.grid_list_field
        return [_named(f"{listed}[{place}].values") for place in range(count)]
    if asked.search_space is None:
        return [
            lambda name: (
                f'{asked.grid_field if name in (asked.grid or {}) else asked.distributions_field}["{name}"]'
            )
        ]
    field, parts = asked.space_field, asked.search_space.alternatives
    if not parts:
        return [_placed(field, asked.search_space)]
    return [_placed(f"{field}.alternatives[{n}]", each) for n, each in enumerate(parts)]


def _named(field: str) -> Callable[[str], str]:
    return lambda name: f'{field}["{name}"]'


def _placed(field: str, request: SpaceRequest) -> Callable[[str], str]:
    names = [each.name for each in request.parameters]
    return lambda name: f"{field}.parameters[{names.index(name)}]"


def grid_notices(space: SearchSpace, resolution: int) -> list[str]:
    """Tells which values a grid search tries of ranges, where it does not try them all."""
    tried = [
        f"{after.name} at {shown_values(after.domain.values)}"
        for part in space.parts
        for before, after in zip(part.parameters, gridded(part, resolution).parameters, strict=True)
        if isinstance(before.domain, IntRange | FloatRange) and isinstance(after.domain, Grid)
    ]
    if not tried:
        return []
    return [
        f"RANGES_GRIDDED: grid_search tries {'; '.join(tried)}; grid_resolution and steps change it"
    ]


def _of_parts(asked: AskedSpace, schemas: Mapping[str, ParameterSchema], limit: int) -> SearchSpace:
    found = Violations()
    grid, distributed = SearchSpace(parameters=()), []
    if asked.grid is not None:
        with found.gathered():
            grid = parse_param_grid(asked.grid, schemas, field=asked.grid_field, max_points=limit)
    with found.gathered():
        distributed = check_distributions(
            asked.distributions, schemas, field=asked.distributions_field
        )
    for name in sorted(set(asked.grid or {}) & set(asked.distributions)):
        found.add(
            f'{asked.distributions_field}["{name}"]',
            f"is in {asked.grid_field} too; give one of them",
        )
    found.raise_if_any()
    return SearchSpace.of([*grid.parameters, *distributed])


def _check_grid(space: SearchSpace, resolution: int, field: str, found: Violations) -> None:
    before = len(found.found)
    check_group_grids(found, "grid_resolution", space, resolution)
    if len(found.found) > before:
        return
    size = cardinality(gridded(space, resolution))
    if size is not None and size > MAX_GRID_POINTS:
        found.add(
            field,
            f"has {size:,} points with {resolution} values of each range without a step, above the"
            f" limit of {MAX_GRID_POINTS:,}; give a smaller grid_resolution, larger steps or fewer"
            " values, or use random_search or bayesian",
        )


def _default_space(model_run: ModelRun, field: str) -> SearchSpace:
    default = MODEL_TYPES[model_run.model_type].default_space
    free = [each for each in default.parameters if each.name not in model_run.fixed_parameters]
    if not free:
        found = Violations()
        found.add(
            field,
            f"is missing, and the model run fixes every parameter of the default grid of "
            f"{model_run.model_type} ({', '.join(default.names)}); give a grid",
        )
        found.raise_if_any()
    return SearchSpace.of(free)

"""What a search is to work on: a model run that exists, or one made of a dataset and a model type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import typer

from crescendo.cli import arguments
from crescendo.client.errors import InvalidRequest, Violation
from crescendo.client.library import Crescendo
from crescendo.client.model import DatasetRoles, ModelRun, Step

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What was typed after the options that describe a model."""

    dataset: str | None
    target: str | None
    models: Sequence[str]
    fixed: Sequence[str] = ()
    steps: Sequence[str] = ()
    experiment: str | None
    roles: DatasetRoles | None = None

    def model_run_id(self, client: Crescendo, model_run: str | None) -> str:
        """Gives the model run that was named, or makes one of dataset and model."""
        if model_run is not None:
            self._refuse_beside("a model run")
            return model_run
        if self.dataset is None or not self.models:
            raise typer.BadParameter(
                "give a model run's id, or --dataset and --model, such as"
                " --dataset sklearn:wine --model random_forest_classifier"
            )
        return next(iter(self._made(client, self.dataset)))

    def compared_model_runs(
        self, client: Crescendo, model_runs: Sequence[str], named: Iterable[str] = ()
    ) -> dict[str, str]:
        """Gives model runs' ids with their model types, empty where nobody asks for those.

        Args:
            named: what spaces are given for: ids, or model types.
        """
        if model_runs:
            self._refuse_beside("model runs")
            if set(named) <= set(model_runs):
                return dict.fromkeys(model_runs, "")
            return {each: client.model_run(each).model_type for each in model_runs}
        if self.dataset is None or not self.models:
            raise typer.BadParameter(
                "give model runs' ids, or --dataset and several --model, such as --dataset"
                " sklearn:wine --model svm_classifier --model k_neighbors_classifier"
            )
        return self._made(client, self.dataset)

    def _made(self, client: Crescendo, dataset: str) -> dict[str, str]:
        # Everything typed is understood before anything is made.
        fixed = parsed("--fixed", lambda: arguments.parse_parameters(self.fixed))
        steps = parse_steps(self.steps)
        dataset_id = find_dataset(client, dataset, self.target, self.roles)

        def create(model: str, *, validate_only: bool = False) -> ModelRun:
            return client.create_model_run(
                dataset_id,
                model,
                fixed=fixed,
                steps=steps,
                experiment=self.experiment,
                validate_only=validate_only,
            )

        if len(self.models) > 1:
            _check_all(self.models, partial(create, validate_only=True))
        made = [create(each) for each in self.models]
        return {each.model_run_id: each.model_type for each in made}

    def _refuse_beside(self, given: str) -> None:
        beside = [
            flag
            for flag, value in (
                ("--dataset", self.dataset),
                ("--target", self.target),
                ("--model", self.models),
                ("--fixed", self.fixed),
                ("--step", self.steps),
                ("--experiment", self.experiment),
                *_role_options(self.roles),
            )
            if value
        ]
        if beside:
            raise typer.BadParameter(f"{', '.join(beside)} cannot be given beside {given}")


def _check_all(models: Sequence[str], check: Callable[[str], object]) -> None:
    """Checks all models before any is made, so that the refusal of one hides no other's.

    Raises: InvalidRequest: with everything wrong, and the model it is wrong with.
    """
    wrong: list[Violation] = []
    asked = ""
    for model in dict.fromkeys(models):
        try:
            check(model)
        except InvalidRequest as error:
            asked = error.request_id
            wrong += [
                Violation(field=f"--model {model}: {each.field}", description=each.description)
                for each in error.violations
            ]
    if wrong:
        text = "; ".join(map(str, wrong))
        raise InvalidRequest(
            text, reason="INVALID_REQUEST", violations=tuple(wrong), request_id=asked
        )


def parse_steps(steps: Sequence[str]) -> list[Step]:
    """Reads the values of --step."""
    return parsed("--step", lambda: [arguments.parse_step(each) for each in steps])


def find_dataset(
    client: Crescendo, dataset: str, target: str | None, roles: DatasetRoles | None = None
) -> str:
    """Gives a dataset's id, uploading it where a file was named."""
    path = Path(dataset)
    if not path.is_file():
        of_files = [name for name, value in (("--target", target), *_role_options(roles)) if value]
        if of_files:
            raise typer.BadParameter(
                f"there is no file {dataset!r} to upload; {', '.join(of_files)}"
                f" {'is' if len(of_files) == 1 else 'are'} for files",
                param_hint="--dataset",
            )
        return dataset
    if target is None:
        raise typer.BadParameter(
            f"{dataset} is a file: say which column to predict with --target COLUMN",
            param_hint="--target",
        )
    return client.upload_dataset(path, target=target, roles=roles).dataset_id


def _role_options(roles: DatasetRoles | None) -> list[tuple[str, str]]:
    """Gives what was typed of roles with their options."""
    given = asdict(roles) if roles is not None else {}
    return [(f"--{name.replace('_', '-')}", value) for name, value in given.items()]


def parsed(option: str, parse: Callable[[], ResultT]) -> ResultT:
    """Parses what was typed after an option; a mistake names the option."""
    try:
        return parse()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error

"""Model runs: a model type on a dataset, checked and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import StepRequest, validate_model_run
from services.core.objective import Task
from services.core.plan import RequestKey
from services.core.violations import NO_NUL, Violations
from services.store.ports.catalogue import ModelRunStore
from services.store.ports.reading import RunReader
from services.store.ports.results import ModelRun
from services.store.service import pages
from services.store.service.datasets import Datasets
from services.store.service.identifiers import canonical_id, new_id, not_found
from services.store.service.plans import check_same_request

_MAX_EXPERIMENT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRunRequest:
    """A model run as asked for; parameters are JSON."""

    experiment: str
    dataset_id: str
    model_type: str
    fixed_parameters: Mapping[str, object]
    steps: Sequence[StepRequest]


class ModelRuns:
    """Keeps model runs."""

    def __init__(self, store: ModelRunStore, reader: RunReader, datasets: Datasets) -> None:
        self._store = store
        self._reader = reader
        self._datasets = datasets

    async def create(
        self,
        request: ModelRunRequest,
        *,
        tenant: str,
        key: RequestKey | None,
        validate_only: bool,
    ) -> ModelRun:
        """Checks a model run against its dataset and stores it, unless it is to be checked only.

        Idempotent by request id, which is looked up before anything is checked.

        Returns: the model run; without an id when `validate_only`.

        Raises:
            InvalidRequest: lists every violation.
            NotFound: the dataset does not exist.
            AlreadyExists: the request id was used with another body.
        """
        if key is not None:
            earlier = await self._reader.find_request(tenant, key)
            if earlier is not None:
                check_same_request(earlier, key)
                return await self.model_run(earlier.resource_id)
        checked = await self._checked(request, tenant)
        if validate_only:
            return checked
        stored = ModelRun(
            model_run_id=new_id(),
            experiment=checked.experiment,
            dataset_id=checked.dataset_id,
            model_type=checked.model_type,
            fixed_parameters=checked.fixed_parameters,
            steps=checked.steps,
            created_at=None,
        )
        taken = await self._store.insert_model_run(stored, tenant=tenant, key=key)
        if taken is not None and key is not None:
            check_same_request(taken, key)
            return await self.model_run(taken.resource_id)
        return await self.model_run(stored.model_run_id)

    async def _checked(self, request: ModelRunRequest, tenant: str) -> ModelRun:
        found = Violations()
        if len(request.experiment) > _MAX_EXPERIMENT:
            found.add(
                "experiment",
                f"has {len(request.experiment)} characters, at most {_MAX_EXPERIMENT} are allowed",
            )
        if "\0" in request.experiment:
            found.add("experiment", NO_NUL)
        dataset = None
        if request.dataset_id:
            dataset = await self._datasets.dataset(request.dataset_id, tenant=tenant)
        else:
            found.add("dataset_id", "must not be empty")
        columns = dataset.summary.columns if dataset else ()
        known = MODEL_TYPES.get(request.model_type)
        # Without a dataset the rest is checked as if it were one for this model type.
        task = dataset.summary.task if dataset else known.task if known else Task.CLASSIFICATION
        with found.gathered():
            checked = validate_model_run(
                model_type=request.model_type,
                fixed_parameters=request.fixed_parameters,
                steps=request.steps,
                task=task,
                categorical_columns=[each.name for each in columns if each.type == "string"],
                missing_columns=[
                    each.name for each in columns if each.type != "string" and each.missing_count
                ],
            )
        found.raise_if_any()
        return ModelRun(
            model_run_id="",
            experiment=request.experiment,
            dataset_id=request.dataset_id,
            model_type=checked.model_type.name,
            fixed_parameters=checked.fixed_parameters,
            steps=checked.steps,
            created_at=None,
        )

    async def model_run(self, model_run_id: str) -> ModelRun:
        """Gives a model run. Raises: NotFound."""
        found = await self._store.model_run(canonical_id("model run", model_run_id))
        if found is None:
            raise not_found("model run", model_run_id)
        return found

    async def model_runs(
        self, *, tenant: str, experiment: str, page_size: int | None, page_token: str
    ) -> tuple[Sequence[ModelRun], str]:
        """Lists model runs, newest first, with the next page's token. Raises: InvalidRequest."""
        limit = pages.checked_page_size(page_size)
        listing = ("model_runs", tenant, experiment)
        found = await self._store.model_runs(
            tenant,
            experiment=experiment,
            before=pages.read_token(listing, page_token, pages.decode_time_and_id),
            limit=limit + 1,
        )
        if len(found) <= limit:
            return found, ""
        last = found[limit - 1]
        created_at = last.created_at.isoformat() if last.created_at else ""
        return found[:limit], pages.make_token(listing, [created_at, last.model_run_id])

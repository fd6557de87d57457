"""Which searcher a method has."""

from __future__ import annotations

from services.coordinator.adapters.searchers.bayesian import BayesianSearcher
from services.coordinator.adapters.searchers.drawing import DrawingSearcher
from services.coordinator.adapters.searchers.first_points import FirstPoints
from services.coordinator.adapters.searchers.grid import FixedPointSearcher, GridSearcher
from services.coordinator.adapters.searchers.local import LocalSearcher
from services.coordinator.adapters.searchers.random import RandomSearcher
from services.coordinator.adapters.searchers.skopt_engine import SKOPT_ENGINE
from services.coordinator.adapters.searchers.tpe import TPE_ENGINE
from services.coordinator.ports import SearchTask
from services.core.plan import MODEL_BASED_METHODS
from services.core.searcher import Searcher

# These fit models: their searchers run in processes of their own.
RUN_IN_PROCESS = frozenset(MODEL_BASED_METHODS)


def make_searcher(task: SearchTask) -> Searcher:
    """Makes the searcher of a task: its method's, after the points that are tried first.

    Raises:
        SearcherFailed: the method cannot search this space.
        ValueError: there is no such method.
    """
    searcher = _of_method(task)
    return FirstPoints(task.start, searcher) if len(task.start) else searcher


def _of_method(task: SearchTask) -> Searcher:
    match task.method:
        case "grid_search":
            return GridSearcher(task)
        case "random_search":
            return RandomSearcher(task)
        case "sobol":
            # scipy.stats takes seconds to import: only those who search by it wait for it.
            from services.coordinator.adapters.searchers.sobol import SobolSearcher  # noqa: PLC0415 (see above)

            return SobolSearcher(task)
        case "bayesian":
            return BayesianSearcher(task)
        case "tpe":
            return DrawingSearcher(task, TPE_ENGINE)
        case "bayesian_skopt":
            return DrawingSearcher(task, SKOPT_ENGINE)
        case "local":
            return LocalSearcher(task)
        case "cross_validation":
            return FixedPointSearcher(task.space)
        case _:
            raise ValueError(f"no searcher for method {task.method!r}")

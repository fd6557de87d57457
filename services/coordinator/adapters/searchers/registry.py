"""Which searcher a method has."""

from __future__ import annotations

from services.coordinator.adapters.searchers.bayesian import BayesianSearcher
from services.coordinator.adapters.searchers.grid import FixedPointSearcher, GridSearcher
from services.coordinator.adapters.searchers.random import RandomSearcher
from services.coordinator.ports import SearchTask
from services.core.searcher import Searcher

# These fit models: their searchers run in processes of their own.
RUN_IN_PROCESS = frozenset({"bayesian"})


def make_searcher(task: SearchTask) -> Searcher:
    """Makes the searcher of a task's method.

    Raises:
        SearcherFailed: the method cannot search this space.
        ValueError: there is no such method.
    """
    match task.method:
        case "grid_search":
            return GridSearcher(task.space)
        case "random_search":
            return RandomSearcher(task)
        case "bayesian":
            return BayesianSearcher(task)
        case "cross_validation":
            return FixedPointSearcher(task.space)
        case _:
            raise ValueError(f"no searcher for method {task.method!r}")

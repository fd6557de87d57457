"""All guards of the store that mutation checks remove."""

from __future__ import annotations

from tests.faults.guards.mutation import Mutation
from tests.faults.guards.searches import SEARCHES
from tests.faults.guards.trials import TRIALS
from tests.faults.guards.workforce import WORKFORCE

MUTATIONS: tuple[Mutation, ...] = (*TRIALS, *SEARCHES, *WORKFORCE)

"""A progressive search with the crescendo client: start it, follow it, read what it found.

    python examples/search_with_client.py

Talks to a `crescendo up` on this machine, or to CRESCENDO_COORDINATOR_ADDRESS and CRESCENDO_STORE_ADDRESS.
"""

from __future__ import annotations

from crescendo.api import Crescendo, CrescendoError, Event
from crescendo.client.events import BestImproved, RefinementMade


def main() -> None:
    """Searches a support vector machine on the wine data."""
    with Crescendo() as crescendo:
        model = crescendo.create_model_run(
            "sklearn:wine", "svm_classifier", steps=["standard_scaler"]
        )
        search = crescendo.start_progressive_search(
            model.model_run_id,
            {"C": [0.1, 1, 10], "gamma": [0.001, 0.01, 0.1]},
            n_iter_random=8,
            n_iter_bayesian=6,
        )
        # Survives dropped connections; ends with the search.
        for item in crescendo.watch(search.orchestration_id):
            if isinstance(item, Event) and isinstance(item.change, BestImproved):
                best = item.change.best
                print(f"{best.score:.4f}  {best.method}  {best.parameters}")
            if isinstance(item, Event) and isinstance(item.change, RefinementMade):
                print(item.change.refinement.summary)
        found = crescendo.best(search.orchestration_id)
        print(f"best: {found.best.score:.4f} with {found.best.parameters}")
        for trial in crescendo.trials(search.orchestration_id, best_first=True):
            print(trial.number, trial.score, trial.parameters)


if __name__ == "__main__":
    try:
        main()
    except CrescendoError as error:
        # The message lists everything that is wrong with a request, or says who does not answer.
        raise SystemExit(f"error: {error}") from error

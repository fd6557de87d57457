"""The client: start searches, follow them, read their results."""

from __future__ import annotations

from crescendo.client.catalogue import Catalogue
from crescendo.client.reading import Reading
from crescendo.client.starting import Starting
from crescendo.client.steering import Steering


class Crescendo(Catalogue, Starting, Steering, Reading):
    """A connection to a Crescendo service.

    Without addresses they come from CRESCENDO_COORDINATOR_ADDRESS and CRESCENDO_STORE_ADDRESS, else
    from a `crescendo up` on this machine, else they are 127.0.0.1:50051 and 127.0.0.1:50052.

        with Crescendo() as crescendo:
            model = crescendo.create_model_run("sklearn:wine", "random_forest_classifier")
            search = crescendo.start_progressive_search(
                model.model_run_id, {"n_estimators": [20, 50, 100], "max_depth": [5, 10, None]}
            )
            for item in crescendo.watch(search.orchestration_id):
                print(item)
            print(crescendo.best(search.orchestration_id).best.parameters)

    What the server decides when an argument is left out is said in the protos. Every method raises
    CrescendoError: InvalidRequest lists all violations, Unavailable says where it looked.
    """

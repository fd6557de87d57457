from __future__ import annotations

import pytest

from services.common.messaging.topology import Topology


def test_names_carry_prefix_version_and_class() -> None:
    topology = Topology(prefix="team-a")
    assert topology.trial_queue("gpu") == "team-a.trials.v1.gpu"
    assert topology.dead_queue == "team-a.dead.v1"


@pytest.mark.parametrize("name", ["", "with space", "a/b", "x" * 65, "-first"])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="worker class"):
        Topology().trial_queue(name)
    with pytest.raises(ValueError, match="queue prefix"):
        Topology(prefix=name)

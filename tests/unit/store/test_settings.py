"""What a store refuses to start with."""

from __future__ import annotations

import pytest

from services.common.settings import SettingsError, load
from services.store.settings import StoreSettings


def test_weights_are_read_by_tenant() -> None:
    settings = load(StoreSettings, {"CRESCENDO_TENANT_WEIGHTS": "team-a=2, team-b = 0.5,a=b=3"})
    assert settings.weights_by_tenant() == {"team-a": 2.0, "team-b": 0.5, "a=b": 3.0}
    assert load(StoreSettings, {}).weights_by_tenant() == {}


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=0", "a=-1", "a=nan", "a=inf", "a=1,a=2"])
def test_weights_that_say_nothing_are_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="CRESCENDO_TENANT_WEIGHTS"):
        load(StoreSettings, {"CRESCENDO_TENANT_WEIGHTS": text})

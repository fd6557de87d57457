"""The environment children get."""

from __future__ import annotations

from services.worker.adapters.evaluation.environment import child_environment


def test_children_get_no_settings_of_ours_and_one_thread() -> None:
    environ = child_environment(
        {"CRESCENDO_AMQP_URL": "amqp://user:secret@broker/", "PATH": "/bin", "OMP_NUM_THREADS": "8"}
    )
    assert not any("secret" in value for value in environ.values())
    assert environ["OMP_NUM_THREADS"] == environ["OPENBLAS_NUM_THREADS"] == "1"
    assert environ["PATH"] == "/bin"

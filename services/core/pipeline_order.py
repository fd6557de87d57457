"""The order in which scikit-learn sorts the parameters of a Pipeline."""

from __future__ import annotations

from services.core.space import Parameter


def pipeline_name(parameter: Parameter) -> str:
    """A parameter's name as it sorts among those of a Pipeline, whose last step is `model`."""
    # With no step's parameter in the space all names gain the same prefix, and none changes places.
    name = parameter.name
    return name if "__" in name or parameter.is_step else f"model__{name}"

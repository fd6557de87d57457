"""The parameters that tests of requested spaces may name."""

from __future__ import annotations

from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples

SCHEMAS = {
    "count": ParameterSchema(ints=Ints(low=1, high=10_000), nullable=True),
    "share": ParameterSchema(floats=Floats(low=0.0, high=1.0, low_open=True)),
    "either": ParameterSchema(
        ints=Ints(low=1), floats=Floats(low=0.0, high=1.0, low_open=True), strings=("sqrt",)
    ),
    "any": ParameterSchema(floats=Floats()),
    "layers": ParameterSchema(tuples=Tuples(items=Ints(low=1))),
    "kernel": ParameterSchema(strings=("linear", "rbf")),
}

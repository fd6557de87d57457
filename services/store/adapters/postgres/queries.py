"""Named queries: `-- name: words` starts one, in the files of `services/store/sql/queries`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (?P<name>[a-z0-9_]+)\s*$", re.MULTILINE)


def load_queries() -> Mapping[str, str]:
    """Reads all named queries.

    Raises: ValueError: a name appears twice.
    """
    queries: dict[str, str] = {}
    for file in resources.files("services.store.sql.queries").iterdir():
        if not file.name.endswith(".sql"):
            continue
        _, *parts = _NAME.split(file.read_text("utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in queries:
                raise ValueError(f"query {name!r} stands twice in services/store/sql/queries")
            queries[name] = text.strip()
    return MappingProxyType(queries)


QUERIES = load_queries()

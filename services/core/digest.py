"""Digests: the identity of a value and of a point, in which 1, 1.0, True and "1" are four things."""

from __future__ import annotations

from hashlib import blake2b

from services.core.space import Assignment, Value

_DIGEST_BYTES = 16


def value_key(value: Value) -> str:
    """Returns text that two values share iff they have the same type and value.

    -0.0 and 0.0 share one: no estimator tells them apart.
    """
    match value:
        case None:
            return "n"
        # bool before int: True is an int to Python, and a different value to a search.
        case bool():
            return f"b{value:d}"
        case int():
            return f"i{value}"
        case float():
            return f"f{(value + 0.0).hex()}"
        case str():
            return f"s{len(value)}:{value}"
        case tuple():
            return f"t({','.join(value_key(each) for each in value)})"


def assignment_digest(assignment: Assignment) -> str:
    """Returns the digest of a point: 32 hex digits, the same whatever the order of its names."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for name in sorted(assignment):
        digest.update(f"{len(name)}:{name}={value_key(assignment[name])};".encode())
    return digest.hexdigest()

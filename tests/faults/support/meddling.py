"""Something done again and again, beside the test, while it waits."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def meddling(action: Callable[[], object], *, every: float, rng: random.Random) -> Iterator[None]:
    """Carries out `action` about every so many seconds until the block ends.

    Raises: Exception: what `action` raised, once the block has ended.
    """
    over = threading.Event()
    raised: list[Exception] = []

    def meddle() -> None:
        while not over.wait(every * rng.uniform(0.5, 1.5)):
            try:
                action()
            except Exception as error:  # noqa: BLE001 (told to whoever waits)
                raised.append(error)
                return

    thread = threading.Thread(target=meddle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(120)
    if raised:
        raise raised[0]

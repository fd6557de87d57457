"""What a program does that is told to stop: as after Ctrl-C, everything it started is stopped too."""

from __future__ import annotations

import signal
import threading


def stop_on_signals() -> None:
    """Lets SIGTERM raise KeyboardInterrupt as SIGINT does; only in the main thread, where signals arrive.

    A shell that starts a program in the background has it, and all that it starts, ignore SIGINT.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(*_signal_and_frame: object) -> None:
    # Once: what is being stopped is not to be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt

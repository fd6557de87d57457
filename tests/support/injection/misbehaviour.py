"""What a fit may do instead of fitting; tests name each by its function's name."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHUNK = 1 << 20
SLEEPER = "import time; time.sleep(600)"
# More than any limit a test sets, and no danger for the machine where nobody keeps it.
EATEN_BYTES = 3 << 30


def segfault() -> None:
    ctypes.memset(8, 0, 1)


def abort() -> None:
    os.abort()


def loop_in_python() -> None:
    while True:
        pass


def loop_in_c() -> None:
    # The interpreter's lock is kept for the whole call: no other thread of the child moves.
    sum(itertools.repeat(0))


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    loop_in_python()


def grandchildren() -> None:
    """One in the child's group, one in a session of its own, one whose parent is gone, one unmarked."""
    subprocess.Popen([sys.executable, "-c", SLEEPER])
    subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])",
        ],
        start_new_session=True,
    ).wait()
    subprocess.Popen([sys.executable, "-c", SLEEPER], env={}, start_new_session=True)


def grandchildren_and_loop() -> None:
    grandchildren()
    loop_in_python()


def ignore_sigterm_with_grandchildren() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", SLEEPER])
    # One that left the group, as a daemon would.
    subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    loop_in_python()


def grandchildren_and_death() -> None:
    # Forked: it holds the child's pipes open.
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)
    time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGSEGV)


def eat_memory() -> None:
    held = [bytearray(16 * CHUNK) for _ in range(EATEN_BYTES // (16 * CHUNK))]
    raise RuntimeError(f"nobody minded {sum(map(len, held)) // CHUNK} MiB")


def eat_memory_together() -> None:
    """Several processes, each below the limit that a single one has."""
    for _ in range(4):
        subprocess.Popen(
            [sys.executable, "-c", "import time; kept = b'x' * (120 << 20); time.sleep(600)"]
        )
    loop_in_python()


def flood() -> None:
    """32 MiB a fit, as the next."""
    for number in (1, 2):
        line = b"x" * 1023 + b"\n"
        for _ in range(16):
            os.write(number, line * 1024)


def flood_without_newlines() -> None:
    for number in (1, 2):
        for _ in range(16):
            os.write(number, b"x" * CHUNK)


def whisper() -> None:
    for each in (b"no ", b"newline"):
        os.write(2, each)


def pipes() -> list[int]:
    """The pipes of the process beside its three standard files; some event loops make them sockets."""
    found = []
    for each in range(3, 64):
        with contextlib.suppress(OSError):
            mode = os.fstat(each).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                found.append(each)
    return found


def write_garbage() -> None:
    for each in pipes():
        with contextlib.suppress(OSError):
            os.write(each, b"all work and no play\n" * 50)
    time.sleep(600)


def write_unasked() -> None:
    """A message of the right form that answers nothing: length 2, request_number 99."""
    for each in pipes():
        with contextlib.suppress(OSError):
            os.write(each, b"\x00\x00\x00\x02\x08\x63")
    time.sleep(600)


def write_too_much() -> None:
    """A frame that announces more than any message has, then all of it."""
    for each in pipes():
        with contextlib.suppress(OSError):
            os.write(each, b"\x7f\xff\xff\xff" + b"x" * CHUNK)
    time.sleep(600)


def close_pipes() -> None:
    for each in pipes():
        os.close(each)
    time.sleep(600)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def leave() -> None:
    sys.exit(0)


def leave_at_once() -> None:
    os._exit(3)


def take_long() -> None:
    time.sleep(4.0)


def wait_for_the_gate() -> None:
    """The first fit of a process is long enough to be told of; others wait for the file `FAULTS_GATE` names."""
    time.sleep(1.5)
    gate = Path(os.environ["FAULTS_GATE"])
    while next(FITS) and not gate.exists():
        time.sleep(0.02)


def leak() -> None:
    LEAKED.append(b"x" * (96 * CHUNK))


def fail() -> None:
    raise RuntimeError("the estimator says no")


def raise_at_length() -> None:
    raise RuntimeError("x" * 1_000_000)


LEAKED: list[bytes] = []
FITS = itertools.count()
WAYS: tuple[Callable[[], None], ...] = (
    segfault,
    abort,
    loop_in_python,
    loop_in_c,
    ignore_sigterm,
    ignore_sigterm_with_grandchildren,
    grandchildren,
    grandchildren_and_loop,
    grandchildren_and_death,
    eat_memory,
    eat_memory_together,
    flood,
    flood_without_newlines,
    write_garbage,
    write_unasked,
    close_pipes,
    stop,
    leave,
    leave_at_once,
    leak,
    fail,
    raise_at_length,
    take_long,
    whisper,
    write_too_much,
    wait_for_the_gate,
)

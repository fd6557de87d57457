"""A process that answers questions: `python -m services.coordinator.adapters.searchers.child`.

Reads pickled questions from stdin and writes pickled answers to stdout; nobody but the coordinator that
started it holds the other ends. Ends when stdin does, so it never outlives its coordinator.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
from multiprocessing.connection import Connection

from services.coordinator.adapters.searchers.questions import Answer, Message, Question, Receiver
from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.searcher import Searcher

_MODELS = {
    "bayesian": "services.coordinator.adapters.searchers.gaussian_process",
    "bayesian_skopt": "services.coordinator.adapters.searchers.skopt_process",
    "tpe": "services.coordinator.adapters.searchers.parzen",
}
_USUAL_METHOD = "bayesian"


class Answering:
    """Answers questions, the same searcher's as long as they are of one task: what it worked out stays."""

    def __init__(self) -> None:
        self._searcher: tuple[SearchTask, Searcher] | None = None

    def answer(self, question: Question) -> Answer:
        """Asks the searcher; whatever it raises becomes words, for another method can go on."""
        if self._searcher is not None and self._searcher[0] != question.task:
            self._searcher = None
        try:
            if self._searcher is None:
                self._searcher = (question.task, make_searcher(question.task))
            asked = self._searcher[1].ask(
                count=question.count, first_index=question.first_index, known=question.known
            )
        except SearcherFailed as failure:
            self._searcher = None
            return [], str(failure)
        except Exception as error:  # noqa: BLE001 (a library may raise anything)
            self._searcher = None
            return [], f"{type(error).__name__}: {error}"[:1_000]
        return list(asked), ""


def main() -> None:
    """Answers until stdin ends."""
    answers = Connection(os.dup(1), readable=False)
    # What a library prints must not end up between the answers.
    os.dup2(2, 1)
    questions: queue.SimpleQueue[Message] = queue.SimpleQueue()
    incoming = Connection(os.dup(0), writable=False)
    threading.Thread(target=_read, args=(incoming, questions), daemon=True).start()
    _load_model(_USUAL_METHOD)
    answers.send(([], ""))
    answering, receiver = Answering(), Receiver()
    while True:
        answers.send(answering.answer(receiver.question(questions.get())))


def _load_model(method: str) -> None:
    """Loads a method's libraries, which takes seconds: meanwhile start-up trials can be suggested."""
    if (module := _MODELS.get(method)) is not None and module not in sys.modules:
        threading.Thread(target=importlib.import_module, args=(module,), daemon=True).start()


def _read(pipe: Connection, questions: queue.SimpleQueue[Message]) -> None:
    while True:
        try:
            question = pipe.recv()
        except (EOFError, OSError):
            # The coordinator is gone: whatever is being computed is of no use to anyone.
            os._exit(0)
        _load_model(question.task.method)
        questions.put(question)


if __name__ == "__main__":
    main()

"""The names and arguments of queues; the major version of the bodies' meaning is part of the names."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.queue_naming import problem_of_queue_name, shown_queue_name

VERSION = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Where messages travel.

    Attributes:
        prefix: what all names begin with; installations that share a broker differ in it.
        delivery_limit: how often a message may go back to its queue before it is a dead letter.
            Set here because brokers differ: none in RabbitMQ 3, 20 from 4.0.
        dead_letter_limit: how many dead letters are kept; the oldest make room.
    """

    prefix: str = "crescendo"
    delivery_limit: int = 20
    dead_letter_limit: int = 10_000

    def __post_init__(self) -> None:
        """Checks the prefix.

        Raises: ValueError: it is no usable name.
        """
        _check(self.prefix, "queue prefix")

    def trial_queue(self, worker_class: str) -> str:
        """Names the queue of a worker class.

        Raises: ValueError: the class is no usable name.
        """
        _check(worker_class, "worker class")
        return f"{self.prefix}.trials.{VERSION}.{worker_class}"

    @property
    def dead_exchange(self) -> str:
        """Names the exchange dead letters go to."""
        return f"{self.prefix}.dead.{VERSION}"

    @property
    def dead_queue(self) -> str:
        """Names the queue dead letters are kept in."""
        return f"{self.prefix}.dead.{VERSION}"

    def trial_queue_arguments(self) -> dict[str, str | int]:
        """Gives the arguments a trial queue is declared with."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": self.delivery_limit,
            "x-dead-letter-exchange": self.dead_exchange,
        }

    def dead_queue_arguments(self) -> dict[str, str | int]:
        """Gives the arguments the dead-letter queue is declared with."""
        return {"x-queue-type": "quorum", "x-max-length": self.dead_letter_limit}


def _check(name: str, what: str) -> None:
    if (problem := problem_of_queue_name(name)) is not None:
        raise ValueError(f"{what} {shown_queue_name(name)}: {problem}")

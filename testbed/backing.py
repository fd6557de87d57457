"""The servers of one run of tests or benchmarks: found, or started once and stopped at its end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from testbed.brokers import URL_VARIABLE, RabbitServer, find_rabbitmq, private_rabbitmq
from testbed.databases import (
    DSN_VARIABLE,
    FORGETFUL,
    PostgresServer,
    find_postgres,
    wheel_postgres,
)

# Where one process of several says to the others that no RabbitMQ can be had.
_NO_RABBITMQ = "CRESCENDO_TEST_NO_RABBITMQ"


class Backing:
    """A Postgres and a RabbitMQ; what it had to start is stopped when `stack` is closed.

    Args:
        postgres_options: settings of a Postgres that has to be started.

    Attributes:
        not_run: how many tests were left out for want of a RabbitMQ.
    """

    def __init__(self, postgres_options: Mapping[str, str] = FORGETFUL) -> None:
        self.stack = ExitStack()
        self.postgres = find_postgres()
        self.rabbitmq = find_rabbitmq()
        self.not_run = 0
        self._postgres_options = postgres_options
        self._rabbitmq_tried = _NO_RABBITMQ in os.environ

    def share(self) -> None:
        """Starts what is missing for processes started from here on, which find it in the environment."""
        os.environ[DSN_VARIABLE] = self.need_postgres().dsn
        rabbitmq = self.need_rabbitmq()
        if rabbitmq is None:
            os.environ[_NO_RABBITMQ] = "1"
        else:
            os.environ[URL_VARIABLE] = rabbitmq.url

    def need_postgres(self) -> PostgresServer:
        """Gives the Postgres, starting one where none answers."""
        if self.postgres is None:
            started = wheel_postgres(self._postgres_options)
            self.postgres = self.stack.enter_context(started)
        return self.postgres

    def need_rabbitmq(self) -> RabbitServer | None:
        """Gives the RabbitMQ, starting one where none answers; None where none can be had."""
        if self.rabbitmq is None and not self._rabbitmq_tried:
            self._rabbitmq_tried = True
            self.rabbitmq = self.stack.enter_context(private_rabbitmq())
        return self.rabbitmq

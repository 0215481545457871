"""Handlers as a new environment of Lambda has them: imported again, with its variables."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import pytest
from lambda_functions.shared import clients as handlers_clients

Handler = Callable[[Any, Any], Any]
Handlers = Mapping[str, Handler]

_PACKAGE = "lambda_functions.handlers"


class _Loading(dict[str, Handler]):
    """Imports a handler when it is asked for by the name of its file."""

    def __missing__(self, name: str) -> Handler:
        self[name] = importlib.import_module(f"{_PACKAGE}.{name}").handler
        return self[name]


@contextmanager
def fresh_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    """The clients that the handlers make are closed at the end."""
    with ExitStack() as clients:

        def closing(make: Callable[..., Any]) -> Callable[..., Any]:
            def make_and_keep(*arguments: Any, **options: Any) -> Any:
                client = make(*arguments, **options)
                clients.callback(client.close)
                return client

            return make_and_keep

        for module, name in ((boto3, "client"), (handlers_clients, "DirectCalls")):
            monkeypatch.setattr(module, name, closing(getattr(module, name)))
        # One that was made before has read another environment.
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        handlers = _Loading()
        try:
            yield handlers
        finally:
            for name in handlers:
                del sys.modules[f"{_PACKAGE}.{name}"]

"""The context object that a handler is called with, attribute by attribute awslambdaric's.

https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frames import Header
    from .standard_streams import LogSink

_TRACE_CONTEXT = ("traceparent", "tracestate", "baggage")


class _Attributes:
    """An object that has the attributes of ``__slots__``; each is None unless given."""

    __slots__: Any = ()

    def __init__(self, values: Header) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{shown}])"


# The order is that of ``repr``.
class CognitoIdentity(_Attributes):
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client(_Attributes):
    __slots__ = [  # noqa: RUF023
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    ]


class ClientContext(_Attributes):
    __slots__ = ["custom", "env", "client"]  # noqa: RUF023

    def __init__(self, values: Header) -> None:
        super().__init__(values)
        self.client: Any = Client(values["client"]) if values.get("client") is not None else None


class LambdaContext:
    """``values`` are its attributes by their names; ``deadline`` is in seconds since the epoch.

    What is missing there, Lambda's variables say.
    """

    def __init__(self, values: Header, deadline: float, log_sink: LogSink) -> None:
        def find(name: str, variable: str) -> Any:
            value = values.get(name)
            return os.environ.get(variable) if value is None else value

        memory = find("memory_limit_in_mb", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        client_context = values.get("client_context")
        self.aws_request_id = values.get("aws_request_id")
        self.log_group_name = find("log_group_name", "AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = find("log_stream_name", "AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = find("function_name", "AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = None if memory is None else str(memory)
        self.function_version = find("function_version", "AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = values.get("invoked_function_arn")
        self.tenant_id = values.get("tenant_id")
        self._w3c_fields = {
            name: value
            for name, value in (values.get("w3c") or {}).items()
            if name in _TRACE_CONTEXT and isinstance(value, str)
        }
        self.client_context = None if client_context is None else ClientContext(client_context)
        self.identity = CognitoIdentity(values.get("identity") or {})
        self._epoch_deadline_time_in_ms = int(deadline * 1000)
        self._log_sink = log_sink

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self) -> dict[str, str]:
        """The trace that the invocation is part of: https://www.w3.org/TR/trace-context/"""
        return dict(self._w3c_fields)

    def log(self, msg: object) -> None:
        self._log_sink.log(str(msg))

    def __repr__(self) -> str:
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        shown = ",".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}([{shown}])"

"""The context object that a handler is called with, and the variables that go with it."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frames import Header


# Variables that say the same as attributes of the context, by the attributes' names.
_VARIABLES = {
    "function_version": "AWS_LAMBDA_FUNCTION_VERSION",
    "log_group_name": "AWS_LAMBDA_LOG_GROUP_NAME",
    "log_stream_name": "AWS_LAMBDA_LOG_STREAM_NAME",
}


def set_variables(values: Header) -> None:
    """Makes the environment that of one invocation: ``values`` are as for ``LambdaContext``.

    ``trace_id`` is X-Ray's header. On Lambda there always is one; where an emulator gives none,
    this one says that nothing is traced:
    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    for name, variable in _VARIABLES.items():
        if values.get(name):
            os.environ[variable] = str(values[name])
    os.environ["_X_AMZN_TRACE_ID"] = str(values.get("trace_id") or _make_trace_header())


def _make_trace_header() -> str:
    root = f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0"


class _Attributes:
    """An object that has just the attributes of ``_NAMES``; each is None unless given."""

    _NAMES: tuple[str, ...] = ()

    def __init__(self, values: Header) -> None:
        for name in self._NAMES:
            setattr(self, name, values.get(name))

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={getattr(self, name)}" for name in self._NAMES)
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Attributes):
    _NAMES = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Attributes):
    _NAMES = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Attributes):
    _NAMES = ("custom", "env", "client")

    def __init__(self, values: Header) -> None:
        super().__init__(values)
        self.client: Any = Client(values["client"]) if values.get("client") is not None else None


class LambdaContext:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    ``values`` are its attributes by their names; ``deadline`` is in seconds since the epoch.
    """

    def __init__(self, values: Header, deadline: float) -> None:
        environment = os.environ.get
        self.aws_request_id = values.get("aws_request_id")
        self.function_name = _or_default(
            values.get("function_name"), environment("AWS_LAMBDA_FUNCTION_NAME")
        )
        self.function_version = _or_default(
            values.get("function_version"), environment("AWS_LAMBDA_FUNCTION_VERSION")
        )
        self.memory_limit_in_mb = str(
            _or_default(
                values.get("memory_limit_in_mb"), environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
            )
        )
        self.log_group_name = _or_default(
            values.get("log_group_name"), environment("AWS_LAMBDA_LOG_GROUP_NAME")
        )
        self.log_stream_name = _or_default(
            values.get("log_stream_name"), environment("AWS_LAMBDA_LOG_STREAM_NAME")
        )
        self.invoked_function_arn = values.get("invoked_function_arn")
        self.tenant_id = values.get("tenant_id")
        self.identity = CognitoIdentity(values.get("identity") or {})
        client_context = values.get("client_context")
        self.client_context = None if client_context is None else ClientContext(client_context)
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(self._deadline * 1000) - int(time.time() * 1000))

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))

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
        return f"LambdaContext([{shown}])"


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value

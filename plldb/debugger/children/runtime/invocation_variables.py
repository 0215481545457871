"""The variables that are others for each invocation."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

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

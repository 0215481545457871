"""What Lambda says of an invocation: its context object as data, X-Ray's header, credentials."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from typing import Any

_CONTEXT = (
    "function_name",
    "function_version",
    "invoked_function_arn",
    "memory_limit_in_mb",
    "log_group_name",
    "log_stream_name",
    "tenant_id",
)
_CLIENT = (
    "installation_id",
    "app_title",
    "app_version_name",
    "app_version_code",
    "app_package_name",
)
_IDENTITY = ("cognito_identity_id", "cognito_identity_pool_id")
# As this environment was started with them: the function's own handler may have set others since.
_CREDENTIALS = {
    "accessKeyId": os.environ.get("AWS_ACCESS_KEY_ID", ""),
    "secretAccessKey": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
    "sessionToken": os.environ.get("AWS_SESSION_TOKEN", ""),
}


def describe(context: Any) -> dict[str, Any]:
    # An emulator may have nothing to say but an empty text.
    described = {name: getattr(context, name, None) or None for name in _CONTEXT}
    described["client_context"] = _client_context(getattr(context, "client_context", None))
    identity = getattr(context, "identity", None)
    described["identity"] = {name: getattr(identity, name, None) for name in _IDENTITY}
    # Of newer runtimes.
    trace_context = getattr(context, "w3c", None)
    described["w3c"] = trace_context() if callable(trace_context) else None
    # Lambda sets it anew for each invocation.
    described["trace_id"] = os.environ.get("_X_AMZN_TRACE_ID")
    return described


def find_credentials() -> dict[str, str] | None:
    """Temporary ones of the function's own role; None if Lambda has given none."""
    return _CREDENTIALS if _CREDENTIALS["secretAccessKey"] else None


def _client_context(client_context: Any) -> dict[str, Any] | None:
    if client_context is None:
        return None
    client = getattr(client_context, "client", None)
    return {
        "client": client and {name: getattr(client, name, None) for name in _CLIENT},
        "custom": getattr(client_context, "custom", None),
        "env": getattr(client_context, "env", None),
    }

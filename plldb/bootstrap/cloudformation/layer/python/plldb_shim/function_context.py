"""What Lambda's context object says of an invocation, without its methods."""

from __future__ import annotations

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
)
_CLIENT = (
    "installation_id",
    "app_title",
    "app_version_name",
    "app_version_code",
    "app_package_name",
)
_IDENTITY = ("cognito_identity_id", "cognito_identity_pool_id")


def describe(context: Any) -> dict[str, Any]:
    described = {name: getattr(context, name, None) for name in _CONTEXT}
    described["client_context"] = _client_context(getattr(context, "client_context", None))
    identity = getattr(context, "identity", None)
    described["identity"] = {name: getattr(identity, name, None) for name in _IDENTITY}
    return described


def _client_context(client_context: Any) -> dict[str, Any] | None:
    if client_context is None:
        return None
    client = getattr(client_context, "client", None)
    return {
        "client": client and {name: getattr(client, name, None) for name in _CLIENT},
        "custom": getattr(client_context, "custom", None),
        "env": getattr(client_context, "env", None),
    }

"""Variables that are Lambda's or plldb's to set, and why.

Most are those that a function can't set on Lambda, either:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_OF_LAMBDA = (
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
)
# https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html#EVarSettings
_OF_CREDENTIALS = (
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "BOTO_CONFIG",
)
# With those of Lambda's Python, the one of this machine would not start:
# https://docs.python.org/3/using/cmdline.html#environment-variables
_OF_PYTHON = ("PYTHONEXECUTABLE", "PYTHONHOME", "PYTHONPLATLIBDIR")
_ONE_REGION = "--region chooses it, for plldb and the code alike"

# Name → why a function's own value does not count.
RESERVED: Mapping[str, str] = {
    **dict.fromkeys(_OF_LAMBDA, "it says what Lambda knows of the function"),
    **dict.fromkeys(
        _OF_CREDENTIALS, "the code has the credentials that plldb has; --profile chooses them"
    ),
    **dict.fromkeys(_OF_PYTHON, "it says where Lambda's Python is; --python chooses the one here"),
    "_HANDLER": "--handler chooses the handler",
    "_X_AMZN_TRACE_ID": "it is another one for each invocation",
    "AWS_DEFAULT_REGION": _ONE_REGION,
    "AWS_LAMBDA_RUNTIME_API": "there is no runtime API here: invocations come from plldb",
    "AWS_REGION": _ONE_REGION,
}
_PLLDB_PREFIX = "PLLDB_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_reserved(name: str) -> bool:
    """Whether a function's own variable of this name does not count."""
    return name in RESERVED or name.startswith(_PLLDB_PREFIX)


def find_refusal(name: str) -> str | None:
    """Why a developer can't set a variable, in words that follow "because"; None if they can."""
    if not _NAME.fullmatch(name):
        return "a name is made of letters, digits and _, and does not begin with a digit"
    if name.startswith(_PLLDB_PREFIX):
        return f"names that begin with {_PLLDB_PREFIX} are plldb's own"
    if name == "AWS_ENDPOINT_URL":
        return "--endpoint-url chooses it, for plldb and the code alike"
    return RESERVED.get(name)

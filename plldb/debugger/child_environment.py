"""What a child's process is given: its variables, and packages that Lambda brings along."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path

from plldb.debugger.interpreter import Interpreter
from plldb.debugger.local_function import DebugMode, Debugpy, LocalFunction

# What a child may know of our environment.
_INHERITED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR")
# Lambda's runtime brings these along; a project need not have them installed.
_ON_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
# An SDK would take them before it asks plldb for credentials. No function on Lambda needs them,
# where its role's stand in the environment.
_OTHER_IDENTITIES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}
# And where it would look for them by itself; the last is boto 2's, which botocore still reads.
_NO_OTHER_IDENTITY = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "BOTO_CONFIG": os.devnull,
}


def make_child_environment(
    function: LocalFunction, environ: Mapping[str, str], credentials: Mapping[str, str]
) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

    The function's own variables win over ours and over what Lambda lets them change, but not over
    those that Lambda reserves, nor over ``credentials``: variables for the AWS SDK, which finds no
    other credentials than these.
    """
    inherited = {name: environ[name] for name in _INHERITED if name in environ}
    changeable = {"TZ": ":UTC", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR"}
    reserved = {
        "_HANDLER": function.handler,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.function_name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "plldb/[$LATEST]",
        "LAMBDA_TASK_ROOT": str(function.code_dir),
    }
    if function.runtime:
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    own = {
        name: value
        for name, value in function.variables.items()
        if not name.startswith("PLLDB_") and name not in _OTHER_IDENTITIES
    }
    reserved |= _NO_OTHER_IDENTITY | dict(credentials)
    return {"LANG": "en_US.UTF-8"} | inherited | changeable | own | reserved


def find_fallback_packages(python: Interpreter, debug: DebugMode) -> dict[str, str]:
    """The folders of packages of our own installation that a child has if its project has none."""
    names = [*(_ON_LAMBDA if _supports("boto3", python) else ())]
    if isinstance(debug, Debugpy) and _supports("debugpy", python):
        names.append("debugpy")
    specs = {name: importlib.util.find_spec(name) for name in names}
    return {
        # A package lies in the folder above its own; a module in its own.
        name: str(Path(spec.origin).parents[1 if spec.submodule_search_locations else 0])
        for name, spec in specs.items()
        if spec is not None and spec.origin is not None
    }


def _supports(distribution: str, python: Interpreter) -> bool:
    """Whether the version that is installed here runs on that interpreter."""
    try:
        requirement = importlib.metadata.metadata(distribution)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        return False
    minimum = re.search(r">=\s*(\d+)\.(\d+)", requirement)
    return minimum is None or python.version[:2] >= (int(minimum[1]), int(minimum[2]))

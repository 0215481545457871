"""What a child's process is given: its variables, and packages that Lambda brings along."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.lambda_paths import LambdaPaths
from plldb.debugger.children.local_function import (
    DebugMode,
    Debugpy,
    LocalFunction,
    NoDebugger,
)
from plldb.debugger.reserved_variables import is_reserved
from plldb.proxies import EXCEPTIONS, PROXIES, exempt_loopback

# What a child may know of our environment: where things are on this machine, …
_INHERITED = ("HOME", "TERM", "TMPDIR", "AWS_XRAY_DAEMON_ADDRESS")
# … which debugger the developer has chosen, and how that is set up, …
_DEBUGGERS = ("PYTHONBREAKPOINT", "INPUTRC", "IPYTHONDIR", "XDG_CONFIG_HOME", "COLORTERM")
# … and whom it trusts: the files of certificates that programs know by these variables.
_CERTIFICATES = (
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
)
# By these, coverage.py measures what a measured process starts:
# https://coverage.readthedocs.io/en/latest/subprocess.html
_MEASURING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_CORE")
_MEASURING_FILES = ("COVERAGE_PROCESS_START", "COVERAGE_FILE")
# Lambda's runtime brings these along; a project need not have them installed.
_ON_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
# Where an SDK would find other credentials by itself, before or after it asks plldb for some; the
# last is boto 2's file, which botocore still reads.
_NO_OTHER_IDENTITY = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "BOTO_CONFIG": os.devnull,
}


def make_child_environment(
    function: LocalFunction,
    environ: Mapping[str, str],
    credentials: Mapping[str, str],
    python: Path | None = None,
) -> dict[str, str]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

    The function's own variables win over ours and over what Lambda lets them change, but not over
    those that Lambda reserves, nor over ``credentials``: variables for the
    AWS SDK, which finds no other credentials than these. Lambda's folders in them are those of this
    machine. ``python`` is the interpreter: if it is one of a virtual environment, that one's
    programs come first on the PATH, as Lambda's own Python does there.

    There is no AWS_LAMBDA_RUNTIME_API: nothing here would answer.
    """
    paths = LambdaPaths(function.code_dir, function.layers)
    own = {name: value for name, value in function.variables.items() if not is_reserved(name)}
    made = (
        _list_defaults(function)
        | _inherit(environ, own)
        | paths.map_variables(own)
        | _join_paths(paths, environ, own, python)
        | _list_reserved(function)
    )
    made |= _NO_OTHER_IDENTITY | dict(credentials)
    return made | exempt_loopback(made)


def choose_environ(environ: Mapping[str, str], debug: DebugMode) -> Mapping[str, str]:
    """What children may know of: under a debugger they are not measured, since both want to trace
    the code.
    """
    if isinstance(debug, NoDebugger):
        return environ
    measuring = (*_MEASURING, *_MEASURING_FILES)
    return {name: value for name, value in environ.items() if name not in measuring}


def _list_defaults(function: LocalFunction) -> dict[str, str]:
    """What Lambda sets and a function may change."""
    defaults = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_LAMBDA_LOG_FORMAT": function.logging.get("LogFormat", "Text"),
    }
    # Lambda filters by levels only what is JSON:
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    if defaults["AWS_LAMBDA_LOG_FORMAT"] == "JSON":
        level = function.logging.get("ApplicationLogLevel", "INFO")
        defaults["AWS_LAMBDA_LOG_LEVEL"] = level
    return defaults


def _list_reserved(function: LocalFunction) -> dict[str, str]:
    group = function.logging.get("LogGroup") or f"/aws/lambda/{function.function_name}"
    reserved = {
        "_HANDLER": function.handler,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": group,
        # Until an invocation tells that of the environment which it came to.
        "AWS_LAMBDA_LOG_STREAM_NAME": "plldb/[$LATEST]",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(function.code_dir),
    }
    if function.runtime:
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    return reserved


def _inherit(environ: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a child has of this machine, unless its function says something of the same."""
    names = (*_INHERITED, *_DEBUGGERS, *_MEASURING)
    inherited = {name: environ[name] for name in names if name in environ}
    # Our working folder is not the child's.
    inherited |= {
        name: os.path.abspath(environ[name])  # noqa: PTH100
        for name in _MEASURING_FILES
        if environ.get(name)
    }
    inherited |= {
        name: os.path.abspath(environ[name]) if Path(environ[name]).exists() else environ[name]  # noqa: PTH100
        for name in _CERTIFICATES
        if environ.get(name)
    }
    taken = {name.upper() for name in own}
    for name in (*PROXIES, EXCEPTIONS):
        if name not in taken:
            spellings = (name, name.lower())
            inherited |= {one: environ[one] for one in spellings if one in environ}
    # What the terminal and files are encoded in; Lambda's locale has all else.
    encoding = next((environ[n] for n in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(n)), "")
    if encoding.lower().replace("-", "").endswith("utf8"):
        inherited["LC_CTYPE"] = encoding
    return inherited


def _join_paths(
    paths: LambdaPaths, environ: Mapping[str, str], own: Mapping[str, str], python: Path | None
) -> dict[str, str]:
    """Where programs and shared libraries are: the function's, then this machine's.

    Folders that a function names and that are not Lambda's, such as /usr/bin, come last: this
    machine's own order of such folders is what its programs rely on.
    """
    programs, others = paths.map_list("PATH", own.get("PATH", ""))
    if python is not None and (python.parent.parent / "pyvenv.cfg").is_file():
        programs.append(str(python.parent))
    at_the_end = [*map(str, paths.list_in_opt("bin")), *others]
    joined = {"PATH": _join(programs, environ.get("PATH", os.defpath).split(":"), at_the_end)}
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        libraries, others = paths.map_list(name, own.get(name, ""))
        if name == "LD_LIBRARY_PATH":
            others += _list_libraries(paths)
        if value := _join(libraries, environ.get(name, "").split(":"), others):
            joined[name] = value
    return joined


def _join(*lists: Iterable[str]) -> str:
    return ":".join(dict.fromkeys(item for items in lists for item in items if item))


def _list_libraries(paths: LambdaPaths) -> list[str]:
    """The folders in which Lambda looks for shared libraries, if they have any."""
    folders = (paths.code_dir, paths.code_dir / "lib", *paths.list_in_opt("lib"))
    return [str(folder) for folder in folders if next(folder.glob("*.so*"), None) is not None]


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

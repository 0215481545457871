"""Variables in policies, like ``${aws:username}``, and wildcards.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
A value that has ``*`` or ``?`` in it is no pattern, so they are kept as the policy language writes
them: ``${*}``, ``${?}`` and ``${$}`` stand for themselves.
"""

import re
from collections.abc import Mapping
from typing import Any

# Policies of an older version, or without one, have no variables.
SINCE_VERSION = "2012-10-17"
_VARIABLE = re.compile(r"\$\{\s*(?P<name>[^},]+?)\s*(?:,\s*'(?P<default>[^']*)'\s*)?\}")
_SPECIAL = re.compile(r"[*?$]")
_LITERAL = re.compile(r"\$\{([*?$])\}")
_PATTERN = re.compile(r"\$\{(?P<literal>[*?$])\}|(?P<wildcard>[*?])")
_WILDCARDS = {"*": ".*", "?": "."}


class UnresolvedError(Exception):
    """The request has no value for a variable."""


def variables_of(policy: Mapping[str, Any], keys: Mapping[str, str]) -> Mapping[str, str] | None:
    """What ``policy`` may name of the request's ``keys``: None if it has no variables."""
    return keys if policy.get("Version") == SINCE_VERSION else None


def fill(text: str, variables: Mapping[str, str] | None) -> str:
    """A pattern with the values of its variables, or their defaults. Raises UnresolvedError."""

    def value(match: re.Match[str]) -> str:
        if match["name"] in ("*", "?", "$"):
            return match[0]
        found = (variables or {}).get(match["name"].lower(), match["default"])
        if found is None:
            raise UnresolvedError(match["name"])
        return _SPECIAL.sub(lambda special: f"${{{special[0]}}}", found)

    return text if variables is None else _VARIABLE.sub(value, text)


def literal(text: str) -> str:
    """A filled pattern as text, for what knows no wildcards."""
    return _LITERAL.sub(r"\1", text)


def wildcard_match(pattern: str, text: str) -> bool:
    """``*`` stands for any characters, ``?`` for one."""
    parts, end = [], 0
    for match in _PATTERN.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        parts.append(_WILDCARDS[match[0]] if match["wildcard"] else re.escape(match["literal"]))
        end = match.end()
    expression = "".join((*parts, re.escape(pattern[end:])))
    return re.fullmatch(expression, text, re.DOTALL) is not None

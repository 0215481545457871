"""SAM's templates as CloudFormation has them, by SAM's own translator where it is installed.

Of templates that are nested in others, MiniStack does not expand them itself.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

from plldb.aws import environment_variable
from plldb.errors import SourceError
from plldb.templates import as_list

_TRANSFORM = "AWS::Serverless-2016-10-31"
# SAM asks IAM for managed policies that are named without their ARN; those of Lambda it knows.
_NO_POLICIES = SimpleNamespace(load=dict)


def expand(body: dict[str, Any], region: str) -> dict[str, Any]:
    """A template without SAM's resources; one that has none, or that can't be expanded, as it is.

    Raises SourceError if SAM finds it wrong.
    """
    if _TRANSFORM not in as_list(body.get("Transform")):
        return body
    try:
        from samtranslator.public.exceptions import InvalidDocumentException
        from samtranslator.translator.transform import transform
    except ImportError:
        return body
    with environment_variable("AWS_DEFAULT_REGION", region):
        try:
            expanded: dict[str, Any] = transform(copy.deepcopy(body), {}, _NO_POLICIES)
        except InvalidDocumentException as error:
            reasons = "; ".join(str(cause.message) for cause in error.causes)
            raise SourceError(f"SAM refuses a nested template: {reasons}", "Mend it.") from None
    return expanded

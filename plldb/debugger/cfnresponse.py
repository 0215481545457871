"""What CloudFormation lays beside code that stands in a template: a custom resource's answer.

This file is copied beside such code, which imports it as ``cfnresponse``; so it needs the standard
library of any Python only. Its names and arguments are those of AWS's own module:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/cfn-lambda-function-code-cfnresponsemodule.html
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from typing import Any

SUCCESS = "SUCCESS"
FAILED = "FAILED"

_SECONDS = 30
logger = logging.getLogger(__name__)


def send(
    event: Any,
    context: Any,
    responseStatus: str,  # noqa: N803
    responseData: Any,  # noqa: N803
    physicalResourceId: str | None = None,  # noqa: N803
    noEcho: bool = False,  # noqa: N803
    reason: str | None = None,
) -> None:
    """Tells CloudFormation what became of a custom resource. A failure is logged, and no error."""
    body = {
        "Status": responseStatus,
        "Reason": reason or f"See the details in CloudWatch Log Stream: {context.log_stream_name}",
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }
    request = urllib.request.Request(  # noqa: S310 (CloudFormation's own URL)
        event["ResponseURL"],
        data=json.dumps(body).encode(),
        headers={"Content-Type": ""},
        method="PUT",
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # nosec B310
            logger.info("CloudFormation was told %s: %s", responseStatus, answer.status)
    except (OSError, ValueError) as error:
        logger.error("CloudFormation could not be told %s: %s", responseStatus, error)

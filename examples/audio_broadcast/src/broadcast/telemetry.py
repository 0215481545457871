"""Metrics by way of the log, in CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import time

NAMESPACE = "AudioBroadcast"


def count(name: str, **fields: str) -> None:
    """One more of something. ``fields`` are for whoever reads the log, and no dimensions."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Environment"]],
        "Metrics": [{"Name": name, "Unit": "Count"}],
    }
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    environment = os.environ.get("ENVIRONMENT", "none")
    print(json.dumps({**fields, "Environment": environment, name: 1, "_aws": aws}))

"""What is changed in templates, so that a target deploys them as AWS would."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import partial

from botocore.exceptions import ClientError

from plldb.aws import Target
from plldb.config import TargetSettings
from plldb.dev.emulator_gaps import (
    fill_gaps_of_ministack,
    is_ministack,
    name_functions_that_fail,
    read_runtimes,
)
from plldb.dev.sam_expansion import expand
from plldb.dev.template_package import AS_ON_AWS, Adaptation

# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ValidateTemplate.html
_UNRECOGNIZED = re.compile(r"Unrecognized resource types: \[(.*?)\]")


def choose_adaptation(target: Target, settings: TargetSettings) -> Adaptation:
    """Asks the emulator, if it is one, what it is."""
    emulator = settings.emulator
    if emulator is None:
        return AS_ON_AWS
    if is_ministack(emulator.endpoint_url):
        fill_gaps = partial(fill_gaps_of_ministack, find_unknown=partial(_find_unknown, target))
        return Adaptation(fill_gaps, partial(expand, region=target.region))
    if runtimes := read_runtimes(emulator.endpoint_url):
        return Adaptation(partial(name_functions_that_fail, runtimes=runtimes))
    return AS_ON_AWS


def _find_unknown(target: Target, kinds: Collection[str]) -> list[str]:
    """Which of these types of resources CloudFormation does not know at a target."""
    resources = {f"Resource{number}": {"Type": kind} for number, kind in enumerate(sorted(kinds))}
    try:
        target.client("cloudformation").validate_template(
            TemplateBody=json.dumps({"Resources": resources})
        )
    except ClientError as error:
        found = _UNRECOGNIZED.search(str(error))
        return found[1].split(", ") if found else []
    return []

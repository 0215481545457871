"""What is changed in templates, so that a target deploys them as AWS would."""

from __future__ import annotations

from functools import partial

from plldb.config import TargetSettings
from plldb.dev.emulator_gaps import (
    fill_gaps_of_ministack,
    is_ministack,
    name_functions_that_fail,
    read_runtimes,
)
from plldb.dev.sam_expansion import expand
from plldb.dev.template_package import AS_ON_AWS, Adaptation


def choose_adaptation(settings: TargetSettings, region: str) -> Adaptation:
    """Asks the emulator, if it is one, what it is."""
    emulator = settings.emulator
    if emulator is None:
        return AS_ON_AWS
    if is_ministack(emulator.endpoint_url):
        return Adaptation(fill_gaps_of_ministack, partial(expand, region=region))
    if runtimes := read_runtimes(emulator.endpoint_url):
        return Adaptation(partial(name_functions_that_fail, runtimes=runtimes))
    return AS_ON_AWS

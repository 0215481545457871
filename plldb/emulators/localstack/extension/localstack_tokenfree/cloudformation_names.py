"""Names of APIs in stacks: AWS's inside, reachable ones in outputs.

LocalStack's CloudFormation takes the region out of every ``https://...execute-api...`` that a
template makes, and so names hosts that nobody answers. Here a template's resources get what AWS
would give them, which functions reach; outputs are read outside, and name this machine. And
``${!Literal}`` in ``Fn::Sub`` stays a literal, which integrations with stage variables need.
"""

import re
from collections.abc import Callable
from typing import Any

from localstack.services.cloudformation.engine.v2.change_set_model import NodeOutput
from localstack.services.cloudformation.engine.v2.change_set_model_describer import (
    ChangeSetModelDescriber,
)
from localstack.services.cloudformation.engine.v2.change_set_model_executor import (
    ChangeSetModelExecutor,
)
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    ChangeSetModelPreproc,
    PreprocEntityDelta,
)
from localstack.utils.patch import patch
from localstack.utils.urls import localstack_host

# ${AWS::URLSuffix} is localhost.localstack.cloud to LocalStack.
_LOCAL = re.compile(
    r"(?P<name>[a-z0-9-]+\.execute-api\.[a-z]{2}[a-z-]*-\d)\.localhost\.localstack\.cloud(:\d+)?"
)
_NAMED = re.compile(
    r"\b(?P<scheme>https?|wss?)://(?P<api>[a-z0-9-]+)\.execute-api\.[a-z0-9-]+\."
    r"amazonaws\.com(\.cn)?(?![\w-]|\.\w)"
)
_PLAIN = {"https": "http", "wss": "ws"}


def install() -> None:
    ChangeSetModelPreproc._perform_static_replacements = staticmethod(as_on_aws)
    patch(ChangeSetModelPreproc._resolve_reference)(_literally_or)
    for model in (ChangeSetModelPreproc, ChangeSetModelDescriber):
        patch(model._resolve_attribute)(_literally_or_attribute)
    patch(ChangeSetModelExecutor.visit_node_output)(_reachable_output)


def as_on_aws(text: str) -> str:
    """``x.execute-api.eu-west-1.localhost.localstack.cloud`` by AWS's name."""
    return _LOCAL.sub(r"\g<name>.amazonaws.com", text)


def reachable(text: str, host: str) -> str:
    """URLs in ``text`` that name an API as AWS does, by a name that leads to ``host`` without TLS,
    which nobody would trust here."""

    def named(match: re.Match[str]) -> str:
        scheme = _PLAIN.get(match["scheme"], match["scheme"])
        return f"{scheme}://{match['api']}.execute-api.{host}"

    return _NAMED.sub(named, text)


def _literally_or(original: Callable[..., Any], processor: Any, logical_id: str) -> Any:
    if logical_id.startswith("!"):
        literal = f"${{{logical_id[1:]}}}"
        return PreprocEntityDelta(before=literal, after=literal)
    return original(processor, logical_id)


def _literally_or_attribute(
    original: Callable[..., Any], processor: Any, arguments: Any, select_before: bool
) -> Any:
    if isinstance(arguments, str) and arguments.startswith("!"):
        return f"${{{arguments[1:]}}}"
    return original(processor, arguments, select_before)


def _reachable_output(original: Callable[..., Any], executor: Any, node_output: NodeOutput) -> Any:
    count = len(executor.outputs)
    delta = original(executor, node_output)
    for output in executor.outputs[count:]:
        if isinstance(value := output["OutputValue"], str):
            output["OutputValue"] = reachable(value, localstack_host().host_and_port())
    return delta

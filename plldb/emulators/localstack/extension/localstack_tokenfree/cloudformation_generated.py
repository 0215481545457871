"""Resources that a transform makes may be named before it has made them.

``!GetAtt OrdersRole.Arn`` of SAM's function ``Orders``, ``!Ref ServerlessHttpApi`` and
``DependsOn`` them are what templates have. LocalStack looks through the template for macros first,
and refuses what is not in it yet.
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/
sam-specification-generated-resources.html
"""

from typing import Any

from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    ChangeSetModelPreproc,
    PreprocEntityDelta,
)
from localstack.services.cloudformation.engine.v2.change_set_model_transform import (
    ChangeSetModelTransform,
)
from localstack.services.cloudformation.engine.validations import ValidationError


def install() -> None:
    ChangeSetModelTransform._get_node_resource_for = _found
    ChangeSetModelTransform._resolve_reference = _referred


def _found(transform: Any, resource_name: str, node_template: Any) -> Any:
    """RuntimeError is what the search for macros passes over."""
    try:
        return ChangeSetModelPreproc._get_node_resource_for(transform, resource_name, node_template)
    except ValidationError as error:
        raise RuntimeError(str(error)) from error


def _referred(transform: Any, logical_id: str) -> Any:
    try:
        return ChangeSetModelPreproc._resolve_reference(transform, logical_id)
    except RuntimeError:
        return PreprocEntityDelta(before=logical_id, after=logical_id)

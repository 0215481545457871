"""Parameters of a stack that are lists are lists for SAM, too.

LocalStack hands SAM's translator their text, which then is one item where a template has
``AllowOrigins: !Ref Origins``. Macros get lists:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/template-macros-author.html
"""

from collections.abc import Callable
from typing import Any

from localstack.services.cloudformation.engine.v2.change_set_model_transform import (
    ChangeSetModelTransform,
)


def install() -> None:
    translate = ChangeSetModelTransform._apply_global_serverless_transformation
    ChangeSetModelTransform._apply_global_serverless_transformation = staticmethod(
        _with_lists(translate)
    )


def _with_lists(translate: Callable[..., Any]) -> Callable[..., Any]:
    def translate_lists(region_name: str, template: Any, parameters: dict[str, Any]) -> Any:
        types = {
            name: each.get("Type", "") for name, each in (template.get("Parameters") or {}).items()
        }
        given = {name: as_typed(value, types.get(name, "")) for name, value in parameters.items()}
        return translate(region_name=region_name, template=template, parameters=given)

    return translate_lists


def as_typed(value: Any, type_name: str) -> Any:
    """``type_name`` is like ``CommaDelimitedList``, ``List<Number>`` or
    ``AWS::SSM::Parameter::Value<List<String>>``."""
    if "List" not in type_name or not isinstance(value, str):
        return value
    return [item.strip() for item in value.split(",")]

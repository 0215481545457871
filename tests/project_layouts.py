"""The projects of tests/projects: one of each kind, with what its tool made of it.

``make projects`` writes the latter again. What is expected of a project stands here, for all tests
of it: the stacks that it has, and the file that each function is edited in.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECTS = Path(__file__).parent / "projects"
# What stands for the project's own path in what tools have written.
_PLACEHOLDER = "@PROJECT@"


@dataclass(frozen=True)
class Layout:
    """A stack of a project: by their names, the file of each function, relative to the project.

    ``layers`` are the files of layers that some function imports. ``events`` are those by which a
    function is called that does not take any. ``arguments`` are what ``plldb attach`` needs besides
    the stack's name.
    """

    project: str
    stack: str
    functions: Mapping[str, str]
    layers: tuple[str, ...] = ()
    events: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.project}: {self.stack}"


_AUDITOR = "AuditNestedStackAuditNestedStackResourceF69BD105/AuditorB9A7BEA8"


def _typescript(stack: str, folder: str) -> Layout:
    """Four stacks with equal logical ids, two of them in Stages, each with one nested in it."""
    functions = {
        "Handler886CB40B": f"lambda/{folder}/app.py",
        _AUDITOR: "lambda/audit/app.py",
    }
    return Layout("cdk-typescript", stack, functions, ("layer/python/common.py",))


# What API Gateway sends, as far as Chalice looks at it.
_REQUEST = {
    "requestContext": {"httpMethod": "GET", "resourcePath": "/", "path": "/api"},
    "headers": {},
    "multiValueQueryStringParameters": None,
    "pathParameters": {},
    "stageVariables": {},
    "body": None,
    "isBase64Encoded": False,
}
LAYOUTS = [
    Layout(
        "sam",
        "sam-orders",
        {"Orders": "orders/app.py", "Nightly": "jobs/nightly.py"},
        ("layers/common/common.py",),
    ),
    Layout(
        "cloudformation",
        "anything",
        {"Orders": "src/orders/app.py", "Billing": "src/billing/app.py"},
        ("layer/python/common.py",),
    ),
    Layout(
        "cdk-python",
        "ShopStack",
        {
            "GreeterA41DC22A": "lambdas/greeter/app.py",
            "Bundled8A032621": "lambdas/bundled/app.py",
        },
        ("layers/common/python/common.py",),
    ),
    _typescript("OrdersStack", "orders"),
    _typescript("company-billing", "billing"),
    _typescript("Beta-Shop", "orders"),
    _typescript("Production-Shop", "billing"),
    Layout(
        "serverless",
        "accounts-dev",
        {
            "CreateUserLambdaFunction": "src/users.py",
            "DeleteUserLambdaFunction": "src/users.py",
            "NightlyLambdaFunction": "src/jobs/nightly.py",
        },
        ("layers/common/python/common.py",),
    ),
    Layout(
        "chalice",
        "anything",
        {"APIHandler": "app.py", "Plain": "app.py"},
        events={"APIHandler": _REQUEST},
    ),
]
# There is no stack, and its name is of one's own choice.
TERRAFORM = Layout(
    "terraform",
    "anything",
    {
        "terraform-orders": "src/orders/app.py",
        "terraform-billing": "src/billing/billing.py",
        "terraform-worker-fast": "modules/worker/src/worker/main.py",
        "terraform-worker-slow": "modules/worker/src/worker/main.py",
    },
    ("layer/python/common.py",),
    arguments=("--terraform", "show.json"),
)


def copy_project(name: str, folder: Path) -> Path:
    """A project in a folder of its own, as if its tool had run there."""
    copy = folder / name
    shutil.copytree(
        PROJECTS / name, copy, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
    )
    for path in copy.rglob("*"):
        if path.is_file() and _PLACEHOLDER in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(_PLACEHOLDER, str(copy)), encoding="utf-8")
    return copy


def edit(path: Path) -> None:
    """Other words in what a function answers."""
    text = path.read_text(encoding="utf-8")
    assert '"said": ' in text
    path.write_text(text.replace('"said": ', '"edited": True, "said": '), encoding="utf-8")

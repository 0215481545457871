"""Everything that this version of plldb deploys, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plldb import __version__
from plldb.bootstrap.packager import Artifact, package
from plldb.bootstrap.parameters import DELETION_PROTECTION
from plldb.config import DEFAULT_HELPER_STACK, VERSION_TAG, is_helper_stack_name
from plldb.errors import UsageError

_SOURCES = Path(__file__).parent / "cloudformation"

# The folder of the bucket that events and results pass through, of every helper stack.
PAYLOADS_FOLDER = "payloads/"
# That of the code and templates of other stacks, which `plldb deploy` brings.
DEPLOYMENTS_FOLDER = "deployments/"
# On every helper stack, with the fingerprint of the release that was deployed last.
FINGERPRINT_TAG = "plldb:fingerprint"


@dataclass(frozen=True)
class Release:
    """One helper stack as it shall be; ``parameters`` are those of the template, name → value.

    ``given_tags`` are the user's, on the stack, on what is in it, and on the bucket.
    """

    stack_name: str
    bucket: str
    artifacts: tuple[Artifact, ...]
    template: str
    parameters: dict[str, str]
    given_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Changes exactly when something that CloudFormation would see changes."""
        parts = (self.parameters, self.given_tags)
        seen = json.dumps([self.template, *(sorted(part.items()) for part in parts if part)])
        return hashlib.sha256(seen.encode()).hexdigest()[:32]

    @property
    def is_protected(self) -> bool:
        """Whether neither the tables nor the stack can be deleted."""
        return self.parameters.get(DELETION_PROTECTION) == "true"

    @property
    def tags(self) -> dict[str, str]:
        ours = {FINGERPRINT_TAG: self.fingerprint, VERSION_TAG: __version__}
        return {**self.given_tags, **ours}


def read_template() -> str:
    """The text of the helper stack's template."""
    return (_SOURCES / "template.yaml").read_text(encoding="utf-8")


def build_release(
    *,
    stack_name: str,
    region: str,
    account_id: str,
    execute_api_base_url: str,
    parameters: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Release:
    """Makes the helper stack of this version of plldb, for one account and region.

    ``execute_api_base_url`` is where functions find execute-api on an emulator, empty on AWS.
    ``parameters`` are those that users may set, as ``plldb.bootstrap.parameters`` settles them, and
    ``tags`` those that users want. Raises UsageError for a name that no helper stack can have.
    """
    check_helper_stack_name(stack_name)
    prefix = make_artifacts_prefix(stack_name)
    functions = package(_SOURCES / "lambda_functions", prefix)
    # Lambda puts a layer's folder `python` on the path.
    layer = package(_SOURCES / "layer" / "python", prefix, name="layer")
    bucket = make_bucket_name(region, account_id)
    return Release(
        stack_name=stack_name,
        bucket=bucket,
        artifacts=(functions, layer),
        template=read_template(),
        parameters={
            **(parameters or {}),
            "ArtifactsBucket": bucket,
            "FunctionsCodeKey": functions.key,
            "LayerCodeKey": layer.key,
            "PayloadsPrefix": make_payloads_prefix(stack_name),
            "SessionsTableName": _make_table_name("PLLDBSessions", stack_name),
            "DebuggerTableName": _make_table_name("PLLDBDebugger", stack_name),
            "ExecuteApiBaseUrl": execute_api_base_url,
        },
        given_tags=tags or {},
    )


def make_bucket_name(region: str, account_id: str) -> str:
    """All helper stacks of an account and region share one bucket."""
    return f"plldb-core-infrastructure-{region}-{account_id}"


def make_artifacts_prefix(stack_name: str) -> str:
    """A helper stack keeps its code below this prefix of the bucket."""
    return f"{stack_name}/"


def make_payloads_prefix(stack_name: str) -> str:
    """Events and results of a helper stack's sessions pass through below this prefix."""
    return f"{PAYLOADS_FOLDER}{stack_name}/"


def check_helper_stack_name(name: str) -> None:
    """Raises UsageError for a name that no helper stack can have."""
    taken = make_artifacts_prefix(name) in (PAYLOADS_FOLDER, DEPLOYMENTS_FOLDER)
    if not is_helper_stack_name(name) or taken:
        raise UsageError(
            f"{name!r} is no name for a helper stack.",
            "Use a letter, then letters, digits and hyphens, 100 at most; but not 'payloads' or "
            "'deployments'.",
        )


def _make_table_name(default: str, stack_name: str) -> str:
    return default if stack_name == DEFAULT_HELPER_STACK else f"{default}-{stack_name}"

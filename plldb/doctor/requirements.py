"""What each command needs to be allowed, as data: IAM actions and the resources they are for.

What ``plldb bootstrap`` needs for the resources of template.yaml is what CloudFormation's own
resource types say of themselves (``handlers.….permissions`` in their schemas), without what only
properties need that the template does not use:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
CloudFormation acts with the credentials of who calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Permission:
    """An action on a resource: an ARN with names in braces, for ``permissions.Placeholders``."""

    action: str
    resource: str


@dataclass(frozen=True)
class Purpose:
    """What a command is for, and needs to be allowed.

    Without a purpose that is essential, nobody can attach; the others are not for everybody. In
    place of a permission, its one in ``alternatives`` will do.
    """

    name: str
    description: str
    permissions: tuple[Permission, ...]
    is_essential: bool = False
    alternatives: Mapping[Permission, Permission] = field(default_factory=dict, hash=False)


def _list_permissions(resource: str, *actions: str) -> tuple[Permission, ...]:
    return tuple(Permission(action, resource) for action in actions)


def _make_arn(service: str, rest: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{rest}"


def _permit_method(method: str, path: str) -> Permission:
    """A method of the management API, as execute-api writes it."""
    arn = _make_arn("execute-api", f"{{management_api}}/plldb/{method}{path}")
    return Permission("execute-api:Invoke", arn)


# --- Attaching, restoring, sessions ---------------------------------------------------------------

_HELPER = _make_arn("cloudformation", "stack/{helper}/*")
_STACK = _make_arn("cloudformation", "stack/{stack}/*")
# CloudFormation names those that are nested in it so: STACK-LogicalId-SUFFIX.
_NESTED_STACKS = _make_arn("cloudformation", "stack/{stack}-*/*")
_FUNCTIONS = _make_arn("lambda", "function:{helper}-*")
_TABLE = _make_arn("dynamodb", "table/{sessions_table}")

DESCRIBE_HELPER = Permission("cloudformation:DescribeStacks", _HELPER)
DESCRIBE_STACK = Permission("cloudformation:DescribeStacks", _STACK)
LIST_RESOURCES = Permission("cloudformation:ListStackResources", _STACK)
RESTORE_FUNCTIONS = Permission(
    "lambda:InvokeFunction", _make_arn("lambda", "function:{instrumentation_function}")
)
GET_HEALTH = _permit_method("GET", "/health")
LIST_SESSIONS = _permit_method("GET", "/sessions")
GET_SESSION = _permit_method("GET", "/sessions/*")
CLOSE_SESSION = _permit_method("DELETE", "/sessions/*")
CREATE_SESSION = _permit_method("POST", "/sessions")
CLOSE_SESSIONS = _permit_method("DELETE", "/sessions")
# Each of them for one stack alone will do, for what is done with that stack.
_FOR_ONE_STACK = {
    CREATE_SESSION: _permit_method("POST", "/stacks/{stack}/sessions"),
    LIST_SESSIONS: _permit_method("GET", "/stacks/{stack}/sessions"),
    GET_SESSION: _permit_method("GET", "/stacks/{stack}/sessions/*"),
    CLOSE_SESSIONS: _permit_method("DELETE", "/stacks/{stack}/sessions"),
    CLOSE_SESSION: _permit_method("DELETE", "/stacks/{stack}/sessions/*"),
}

ATTACH = Purpose(
    "attach",
    "what plldb attach calls",
    (
        DESCRIBE_HELPER,
        DESCRIBE_STACK,
        LIST_RESOURCES,
        CREATE_SESSION,
        # Where it ends while it is disconnected.
        CLOSE_SESSION,
    ),
    is_essential=True,
    alternatives=_FOR_ONE_STACK,
)
# Without these, it says what it could not compare.
COMPARE = Purpose(
    "compare",
    "what plldb attach reads of templates, and of nested stacks, to hold yours against them",
    (
        *_list_permissions(_STACK, "cloudformation:GetTemplate"),
        *_list_permissions(
            _NESTED_STACKS, "cloudformation:ListStackResources", "cloudformation:GetTemplate"
        ),
    ),
)
# Without it, the code runs without these layers, and attach says so.
LAYERS = Purpose(
    "layers",
    "what plldb attach calls for layers that are not on your machine; of another account's layer, "
    "its owner has to allow it as well",
    _list_permissions("arn:{partition}:lambda:{region}:*:layer:*:*", "lambda:GetLayerVersion"),
)
RESTORE = Purpose(
    "restore", "what plldb restore calls", (DESCRIBE_HELPER, DESCRIBE_STACK, RESTORE_FUNCTIONS)
)
SESSIONS = Purpose(
    "sessions",
    "what plldb sessions calls, and the health of the helper stack",
    (
        DESCRIBE_HELPER,
        LIST_SESSIONS,
        GET_SESSION,
        CLOSE_SESSIONS,
        CLOSE_SESSION,
        GET_HEALTH,
    ),
    alternatives=_FOR_ONE_STACK,
)

# --- Bootstrap ------------------------------------------------------------------------------------

_BUCKET = "arn:{partition}:s3:::{bucket}"
_ROLES = "arn:{partition}:iam::{account}:role{role_path}{helper}-*"
_TABLES = (_TABLE, _make_arn("dynamodb", "table/{debugger_table}"))
_LOG_GROUP = _make_arn("logs", "log-group:/plldb/{helper}")
_LAYERS = _make_arn("lambda", "layer:{helper}-debugger")
_ALARMS = _make_arn("cloudwatch", "alarm:{helper}-*")
_DASHBOARDS = "arn:{partition}:cloudwatch::{account}:dashboard/{helper}*"
_RULES = _make_arn("events", "rule/{helper}-*")


def _list_api_gateway_permissions(path: str, *methods: str) -> tuple[Permission, ...]:
    resource = f"arn:{{partition}}:apigateway:{{region}}::{path}"
    return _list_permissions(resource, *(f"apigateway:{method}" for method in methods))


LIST_BUCKET = Permission("s3:ListBucket", _BUCKET)
DESCRIBE_EVENTS = Permission("cloudformation:DescribeStackEvents", _HELPER)

# plldb's own calls: see observer.py, executor.py and stack_operation.py.
CALLS = (
    *_list_permissions(
        _BUCKET,
        "s3:CreateBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:PutEncryptionConfiguration",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:GetLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:GetBucketTagging",
        "s3:PutBucketTagging",
        "s3:DeleteBucket",
    ),
    LIST_BUCKET,
    *_list_permissions(
        f"{_BUCKET}/*", "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion"
    ),
    DESCRIBE_HELPER,
    DESCRIBE_EVENTS,
    *_list_permissions(
        _HELPER,
        "cloudformation:CreateStack",
        "cloudformation:UpdateStack",
        "cloudformation:DeleteStack",
        "cloudformation:ContinueUpdateRollback",
        "cloudformation:DescribeStackResources",
        "cloudformation:UpdateTerminationProtection",
        # A stack with tags, as the helper stack is one, takes these as well where it is created
        # and updated (the condition key cloudformation:CreateAction is of them):
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
    ),
    # Destroying restores what is still instrumented, first.
    *_list_permissions(_TABLE, "dynamodb:Scan"),
    *_list_permissions(_FUNCTIONS, "lambda:InvokeFunction"),
)

_REST_API = (
    *_list_api_gateway_permissions("/restapis", "POST"),
    *_list_api_gateway_permissions("/restapis/*", "GET", "POST", "PUT", "PATCH", "DELETE"),
    *_list_api_gateway_permissions("/tags/*", "PUT", "DELETE"),
)
_WEBSOCKET_API = (
    *_list_api_gateway_permissions("/apis", "POST"),
    *_list_api_gateway_permissions("/apis/*", "GET", "POST", "PUT", "PATCH", "DELETE"),
    *_list_api_gateway_permissions("/tags/*", "PUT", "DELETE"),
)

# Resource type of template.yaml → what its creation, update and deletion take.
RESOURCE_TYPES: dict[str, tuple[Permission, ...]] = {
    "AWS::ApiGateway::Deployment": _REST_API,
    "AWS::ApiGateway::Method": _REST_API,
    "AWS::ApiGateway::Resource": _REST_API,
    "AWS::ApiGateway::RestApi": _REST_API,
    "AWS::ApiGateway::Stage": _REST_API,
    "AWS::ApiGatewayV2::Api": _WEBSOCKET_API,
    "AWS::ApiGatewayV2::Authorizer": _WEBSOCKET_API,
    "AWS::ApiGatewayV2::Integration": _WEBSOCKET_API,
    "AWS::ApiGatewayV2::Route": _WEBSOCKET_API,
    "AWS::ApiGatewayV2::Stage": _WEBSOCKET_API,
    "AWS::CloudWatch::Alarm": (
        *_list_permissions(
            _ALARMS,
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ),
    ),
    "AWS::CloudWatch::Dashboard": _list_permissions(
        _DASHBOARDS,
        "cloudwatch:PutDashboard",
        "cloudwatch:GetDashboard",
        "cloudwatch:DeleteDashboards",
        "cloudwatch:ListTagsForResource",
        "cloudwatch:TagResource",
        "cloudwatch:UntagResource",
    ),
    "AWS::DynamoDB::Table": tuple(
        permission
        for table in _TABLES
        for permission in _list_permissions(
            table,
            "dynamodb:CreateTable",
            "dynamodb:DescribeTable",
            "dynamodb:UpdateTable",
            "dynamodb:DeleteTable",
            "dynamodb:DescribeTimeToLive",
            "dynamodb:UpdateTimeToLive",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:DescribeContributorInsights",
            "dynamodb:DescribeKinesisStreamingDestination",
            "dynamodb:GetResourcePolicy",
            "dynamodb:ListTagsOfResource",
            "dynamodb:TagResource",
            "dynamodb:UntagResource",
        )
    ),
    "AWS::Events::Rule": _list_permissions(
        _RULES,
        "events:PutRule",
        "events:DescribeRule",
        "events:DeleteRule",
        "events:PutTargets",
        "events:ListTargetsByRule",
        "events:RemoveTargets",
        "events:ListTagsForResource",
        "events:TagResource",
        "events:UntagResource",
    ),
    "AWS::IAM::Policy": _list_permissions(
        _ROLES, "iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"
    ),
    "AWS::IAM::Role": _list_permissions(
        _ROLES,
        "iam:CreateRole",
        "iam:GetRole",
        "iam:UpdateRole",
        "iam:UpdateRoleDescription",
        "iam:UpdateAssumeRolePolicy",
        "iam:DeleteRole",
        "iam:PutRolePolicy",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies",
        "iam:DeleteRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:PutRolePermissionsBoundary",
        "iam:DeleteRolePermissionsBoundary",
        "iam:ListRoleTags",
        "iam:TagRole",
        "iam:UntagRole",
    ),
    "AWS::Lambda::Function": (
        *_list_permissions(
            _FUNCTIONS,
            "lambda:CreateFunction",
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetFunctionScalingConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:DeleteFunction",
            "lambda:ListTags",
            "lambda:TagResource",
            "lambda:UntagResource",
        ),
        *_list_permissions(_ROLES, "iam:PassRole"),
    ),
    "AWS::Lambda::LayerVersion": (
        *_list_permissions(_LAYERS, "lambda:PublishLayerVersion"),
        *_list_permissions(f"{_LAYERS}:*", "lambda:GetLayerVersion", "lambda:DeleteLayerVersion"),
    ),
    "AWS::Lambda::Permission": _list_permissions(
        _FUNCTIONS, "lambda:AddPermission", "lambda:RemovePermission", "lambda:GetPolicy"
    ),
    "AWS::Logs::LogGroup": (
        # AWS knows no resource for these actions.
        *_list_permissions(
            "*",
            "logs:DescribeLogGroups",
            "logs:DescribeIndexPolicies",
            "logs:DescribeResourcePolicies",
        ),
        *_list_permissions(
            f"{_LOG_GROUP}:*",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:DeleteRetentionPolicy",
            "logs:GetDataProtectionPolicy",
        ),
        *_list_permissions(
            _LOG_GROUP, "logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"
        ),
    ),
}

BOOTSTRAP = Purpose(
    "bootstrap",
    "what plldb bootstrap and its destroy call, and CloudFormation for them",
    tuple(dict.fromkeys((*CALLS, *(p for ps in RESOURCE_TYPES.values() for p in ps)))),
)

# Where CloudFormation acts as a role, that has the rest.
BOOTSTRAP_BY_ROLE = replace(
    BOOTSTRAP,
    permissions=(
        *CALLS,
        # Destroying takes protection off the tables.
        *(Permission("dynamodb:UpdateTable", table) for table in _TABLES),
        Permission("iam:PassRole", "{cloudformation_role}"),
    ),
)

# --- Doctor ---------------------------------------------------------------------------------------

# Without these, the doctor says what it could not find out.
DOCTOR = Purpose(
    "doctor",
    "what plldb doctor reads, apart from the above",
    (
        *_list_permissions(_HELPER, "cloudformation:ListStackResources"),
        *_list_permissions(_RULES, "events:DescribeRule"),
        *_list_permissions("*", "lambda:ListFunctions"),
        *_list_permissions(_make_arn("lambda", "function:*"), "lambda:ListTags"),
        *_list_permissions(f"{_TABLE}/index/GSI-ConnectionId", "dynamodb:Scan"),
        *_list_permissions(_TABLE, "dynamodb:GetItem"),
        *_list_permissions("{identity}", "iam:SimulatePrincipalPolicy", "iam:GetRole"),
    ),
)

DEEP = Purpose(
    "deep",
    "what plldb doctor --deep does besides: it opens a session and closes it",
    (
        CREATE_SESSION,
        CLOSE_SESSION,
        *_list_permissions("*", "lambda:GetAccountSettings"),
        *_list_permissions(_ALARMS, "cloudwatch:DescribeAlarms"),
        *_list_permissions(f"{_LOG_GROUP}:*", "logs:FilterLogEvents"),
        *_list_permissions("*", "config:DescribeConfigurationRecorders"),
    ),
    alternatives=_FOR_ONE_STACK,
)

# Those that have a check of their own; the docs list all.
CHECKED = (ATTACH, RESTORE, SESSIONS, BOOTSTRAP)
PURPOSES = (*CHECKED, COMPARE, LAYERS, DOCTOR, DEEP)

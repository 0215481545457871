"""What each command needs to be allowed, as data: IAM actions and the resources they are for.

What ``plldb bootstrap`` needs for the resources of template.yaml is what CloudFormation's own
resource types say of themselves (``handlers.….permissions`` in their schemas), without what only
properties need that the template does not use:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
CloudFormation acts with the credentials of who calls it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """``resource`` is an ARN with names in braces, which ``permissions.Names`` knows."""

    action: str
    resource: str


@dataclass(frozen=True)
class Purpose:
    """``is_essential``: without it, attaching fails; the rest is not for everybody."""

    name: str
    description: str
    permissions: tuple[Permission, ...]
    is_essential: bool = False


def _on(resource: str, *actions: str) -> tuple[Permission, ...]:
    return tuple(Permission(action, resource) for action in actions)


def _regional(service: str, rest: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{rest}"


def _method(method: str, path: str) -> Permission:
    """A method of the management API, as execute-api writes it."""
    arn = _regional("execute-api", f"{{management_api}}/plldb/{method}{path}")
    return Permission("execute-api:Invoke", arn)


# --- Attaching, restoring, sessions ---------------------------------------------------------------

_HELPER = _regional("cloudformation", "stack/{helper}/*")
_STACK = _regional("cloudformation", "stack/{stack}/*")
_FUNCTIONS = _regional("lambda", "function:{helper}-*")
_TABLE = _regional("dynamodb", "table/{sessions_table}")

DESCRIBE_HELPER = Permission("cloudformation:DescribeStacks", _HELPER)
DESCRIBE_STACK = Permission("cloudformation:DescribeStacks", _STACK)
FETCH_EVENT = _method("GET", "/invocations/*/event")
RESTORE_FUNCTIONS = Permission(
    "lambda:InvokeFunction", _regional("lambda", "function:{instrumentation_function}")
)
GET_HEALTH = _method("GET", "/health")
LIST_SESSIONS = _method("GET", "/sessions")
GET_SESSION = _method("GET", "/sessions/*")
CLOSE_SESSION = _method("DELETE", "/sessions/*")

ATTACH = Purpose(
    "attach",
    "what plldb attach calls",
    (
        DESCRIBE_HELPER,
        DESCRIBE_STACK,
        _method("POST", "/sessions"),
        FETCH_EVENT,
        _method("POST", "/invocations/*/uploads"),
        _method("POST", "/invocations/*/result"),
        # Where it ends while it is disconnected.
        CLOSE_SESSION,
    ),
    is_essential=True,
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
        _method("DELETE", "/sessions"),
        CLOSE_SESSION,
        GET_HEALTH,
    ),
)

# --- Bootstrap ------------------------------------------------------------------------------------

_BUCKET = "arn:{partition}:s3:::{bucket}"
_ROLES = "arn:{partition}:iam::{account}:role/{helper}-*"
_TABLES = (_TABLE, _regional("dynamodb", "table/{debugger_table}"))
_LOG_GROUP = _regional("logs", "log-group:/plldb/{helper}")
_LAYERS = _regional("lambda", "layer:{helper}-debugger")
_ALARMS = _regional("cloudwatch", "alarm:{helper}-*")
_DASHBOARDS = "arn:{partition}:cloudwatch::{account}:dashboard/{helper}*"
_RULES = _regional("events", "rule/{helper}-*")


def _api_gateway(path: str, *methods: str) -> tuple[Permission, ...]:
    resource = f"arn:{{partition}}:apigateway:{{region}}::{path}"
    return _on(resource, *(f"apigateway:{method}" for method in methods))


LIST_BUCKET = Permission("s3:ListBucket", _BUCKET)
DESCRIBE_EVENTS = Permission("cloudformation:DescribeStackEvents", _HELPER)

# plldb's own calls: see inspector.py, executor.py and deployment.py.
_CALLS = (
    *_on(
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
        "s3:DeleteBucket",
    ),
    LIST_BUCKET,
    *_on(
        f"{_BUCKET}/*", "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion"
    ),
    DESCRIBE_HELPER,
    DESCRIBE_EVENTS,
    *_on(
        _HELPER,
        "cloudformation:CreateStack",
        "cloudformation:UpdateStack",
        "cloudformation:DeleteStack",
        "cloudformation:ContinueUpdateRollback",
        "cloudformation:DescribeStackResources",
        "cloudformation:UpdateTerminationProtection",
    ),
    # Destroying restores what is still instrumented, first.
    *_on(_TABLE, "dynamodb:Scan"),
    *_on(_FUNCTIONS, "lambda:InvokeFunction"),
)

_REST_API = (
    *_api_gateway("/restapis", "POST"),
    *_api_gateway("/restapis/*", "GET", "POST", "PUT", "PATCH", "DELETE"),
    *_api_gateway("/tags/*", "PUT", "DELETE"),
)
_WEBSOCKET_API = (
    *_api_gateway("/apis", "POST"),
    *_api_gateway("/apis/*", "GET", "POST", "PUT", "PATCH", "DELETE"),
    *_api_gateway("/tags/*", "PUT", "DELETE"),
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
        *_on(
            _ALARMS,
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ),
    ),
    "AWS::CloudWatch::Dashboard": _on(
        _DASHBOARDS,
        "cloudwatch:PutDashboard",
        "cloudwatch:GetDashboard",
        "cloudwatch:DeleteDashboards",
    ),
    "AWS::DynamoDB::Table": tuple(
        permission
        for table in _TABLES
        for permission in _on(
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
    "AWS::Events::Rule": _on(
        _RULES,
        "events:PutRule",
        "events:DescribeRule",
        "events:DeleteRule",
        "events:PutTargets",
        "events:ListTargetsByRule",
        "events:RemoveTargets",
    ),
    "AWS::IAM::Policy": _on(
        _ROLES, "iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"
    ),
    "AWS::IAM::Role": _on(
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
        "iam:TagRole",
        "iam:UntagRole",
    ),
    "AWS::Lambda::Function": (
        *_on(
            _FUNCTIONS,
            "lambda:CreateFunction",
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:DeleteFunction",
            "lambda:ListTags",
            "lambda:TagResource",
            "lambda:UntagResource",
        ),
        *_on(_ROLES, "iam:PassRole"),
    ),
    "AWS::Lambda::LayerVersion": (
        *_on(_LAYERS, "lambda:PublishLayerVersion"),
        *_on(f"{_LAYERS}:*", "lambda:GetLayerVersion", "lambda:DeleteLayerVersion"),
    ),
    "AWS::Lambda::Permission": _on(
        _FUNCTIONS, "lambda:AddPermission", "lambda:RemovePermission", "lambda:GetPolicy"
    ),
    "AWS::Logs::LogGroup": (
        *_on(_regional("logs", "log-group:*"), "logs:DescribeLogGroups"),
        *_on(
            f"{_LOG_GROUP}:*",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:DeleteRetentionPolicy",
            "logs:GetDataProtectionPolicy",
            "logs:DescribeIndexPolicies",
        ),
        *_on(_LOG_GROUP, "logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"),
    ),
}

BOOTSTRAP = Purpose(
    "bootstrap",
    "what plldb bootstrap and its destroy call, and CloudFormation for them",
    tuple(dict.fromkeys((*_CALLS, *(p for ps in RESOURCE_TYPES.values() for p in ps)))),
)

# --- Doctor ---------------------------------------------------------------------------------------

# Without these, the doctor says what it could not find out.
DOCTOR = Purpose(
    "doctor",
    "what plldb doctor reads, apart from the above",
    (
        *_on(_HELPER, "cloudformation:ListStackResources"),
        *_on(_STACK, "cloudformation:ListStackResources"),
        *_on(_RULES, "events:DescribeRule"),
        *_on("*", "lambda:ListFunctions"),
        *_on(_regional("lambda", "function:*"), "lambda:ListTags"),
        *_on(f"{_TABLE}/index/GSI-ConnectionId", "dynamodb:Scan"),
        *_on(_TABLE, "dynamodb:BatchGetItem"),
        *_on("{identity}", "iam:SimulatePrincipalPolicy", "iam:GetRole"),
    ),
)

# Those that have a check of their own; the docs list all.
CHECKED = (ATTACH, RESTORE, SESSIONS, BOOTSTRAP)
PURPOSES = (*CHECKED, DOCTOR)

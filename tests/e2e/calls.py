"""Calls that roles are tried with: of every service that plldb touches, and of some it does not.

Each is harmless where it is allowed: it names what does not exist, writes only if something is
there that is not, or reads. ``{names}`` are filled in from the deployed stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """``resource`` is the ARN that IAM is asked about, ``action`` what for.

    ``endpoint`` is where the call goes if not to the service's own one. ``mistaken`` says what the
    embedded emulator asks its IAM about instead, so that it refuses what AWS allows.
    """

    service: str
    operation: str
    action: str
    resource: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    mistaken: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.resource}"


def filled_in(value: Any, names: Mapping[str, str]) -> Any:
    """The same, with ``{name}`` in every text replaced."""
    if isinstance(value, str):
        return value.format_map(names)
    if isinstance(value, Mapping):
        return {filled_in(key, names): filled_in(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [filled_in(one, names) for one in value]
    return value


_FUNCTION = {"FunctionName": "no-such-function"}
_ROLE_POLICY = "{{}}"
_CONNECTION = {"ConnectionId": "L0SM9cOFvHcCIhw="}
_QUEUE = {"QueueUrl": "{endpoint}/{account}/no-such-queue"}


def _dynamodb(operation: str, action: str, table: str, **parameters: Any) -> Call:
    """On a table, or on the index after the slash."""
    name, _, index = table.partition("/")
    resource = "{dynamodb}:table/" + name + (f"/index/{index}" if index else "")
    given = {"TableName": name} | ({"IndexName": index} if index else {}) | parameters
    return Call("dynamodb", operation, f"dynamodb:{action}", resource, given)


def _on_each_table() -> list[Call]:
    calls = []
    for table, key_name in (
        ("{sessions}", "SessionId"),
        ("{debugger}", "RequestId"),
        ("{others_table}", "Id"),
    ):
        key = {key_name: {"S": "nothing"}}
        if_there = {"ConditionExpression": f"attribute_exists({key_name})"}
        calls += [
            _dynamodb("get_item", "GetItem", table, Key=key),
            _dynamodb("put_item", "PutItem", table, Item=key, **if_there),
            _dynamodb("update_item", "UpdateItem", table, Key=key, **if_there),
            _dynamodb("delete_item", "DeleteItem", table, Key=key),
            _dynamodb("scan", "Scan", table, Limit=1),
            _dynamodb(
                "query",
                "Query",
                table,
                KeyConditionExpression=f"{key_name} = :key",
                ExpressionAttributeValues={":key": {"S": "nothing"}},
            ),
            Call(
                "dynamodb",
                "batch_get_item",
                "dynamodb:BatchGetItem",
                "{dynamodb}:table/" + table,
                {"RequestItems": {table: {"Keys": [key]}}},
            ),
            Call(
                "dynamodb",
                "batch_write_item",
                "dynamodb:BatchWriteItem",
                "{dynamodb}:table/" + table,
                {"RequestItems": {table: [{"DeleteRequest": {"Key": key}}]}},
            ),
            _dynamodb("describe_table", "DescribeTable", table),
            _dynamodb("update_table", "UpdateTable", table, BillingMode="PAY_PER_REQUEST"),
        ]
    return calls


def _on_each_index() -> list[Call]:
    by_stack = {
        "KeyConditionExpression": "StackName = :name",
        "ExpressionAttributeValues": {":name": {"S": "nothing"}},
    }
    by_connection = by_stack | {"KeyConditionExpression": "ConnectionId = :name"}
    return [
        _dynamodb("query", "Query", "{sessions}/GSI-StackName", **by_stack),
        _dynamodb("query", "Query", "{sessions}/GSI-ConnectionId", **by_connection),
        _dynamodb("scan", "Scan", "{sessions}/GSI-StackName", Limit=1),
        _dynamodb("scan", "Scan", "{sessions}/GSI-ConnectionId", Limit=1),
        _dynamodb("scan", "Scan", "{debugger}/GSI-Open", Limit=1),
    ]


def _lambda(
    operation: str,
    action: str,
    function: str = "no-such-function",
    mistaken: str = "",
    **parameters: Any,
) -> Call:
    resource = "{lambda}:function:" + function
    given = {"FunctionName": function} | parameters
    return Call("lambda", operation, f"lambda:{action}", resource, given, mistaken=mistaken)


def _on_functions() -> list[Call]:
    dry = {"InvocationType": "DryRun"}
    code = {"S3Bucket": "{bucket}", "S3Key": "no-such-key"}
    return [
        _lambda("invoke", "InvokeFunction", "{instrumentation}", **dry),
        _lambda("invoke", "InvokeFunction", "{management}", **dry),
        _lambda("invoke", "InvokeFunction", "{reaper}", **dry),
        _lambda("invoke", "InvokeFunction", **dry),
        _lambda("get_function_configuration", "GetFunctionConfiguration", "{instrumentation}"),
        _lambda("get_function_configuration", "GetFunctionConfiguration"),
        _lambda("update_function_configuration", "UpdateFunctionConfiguration", Timeout=3),
        _lambda("list_aliases", "ListAliases"),
        _lambda(
            "list_provisioned_concurrency_configs",
            "ListProvisionedConcurrencyConfigs",
            mistaken="lambda:GetFunction",
        ),
        Call("lambda", "list_event_source_mappings", "lambda:ListEventSourceMappings", "*"),
        Call("lambda", "list_functions", "lambda:ListFunctions", "*"),
        Call(
            "lambda",
            "get_layer_version",
            "lambda:GetLayerVersion",
            "{lambda}:layer:no-such-layer:1",
            {"LayerName": "no-such-layer", "VersionNumber": 1},
            mistaken="lambda:ListLayers",
        ),
        _lambda(
            "get_function_concurrency",
            "GetFunctionConcurrency",
            mistaken="lambda:PutFunctionConcurrency",
        ),
        _lambda("get_function", "GetFunction"),
        _lambda("get_policy", "GetPolicy"),
        _lambda("delete_function", "DeleteFunction"),
        _lambda("update_function_code", "UpdateFunctionCode", **code),
        _lambda("delete_function", "DeleteFunction", "no-such-function:7"),
        _lambda("publish_version", "PublishVersion"),
        _lambda("list_versions_by_function", "ListVersionsByFunction"),
        _lambda("update_alias", "UpdateAlias", Name="live", FunctionVersion="1"),
        _lambda("create_alias", "CreateAlias", Name="live", FunctionVersion="1"),
        _lambda(
            "put_function_concurrency", "PutFunctionConcurrency", ReservedConcurrentExecutions=1
        ),
        _lambda(
            "add_permission",
            "AddPermission",
            StatementId="everybody",
            Action="lambda:InvokeFunction",
            Principal="*",
        ),
        _lambda(
            "create_function",
            "CreateFunction",
            "created-by-a-test",
            Runtime="python3.13",
            Handler="a.b",
            Role="{other_role}",
            Code=code,
        ),
        Call(
            "lambda",
            "create_event_source_mapping",
            "lambda:CreateEventSourceMapping",
            "*",
            _FUNCTION | {"EventSourceArn": "{sqs}:no-such-queue"},
        ),
        Call(
            "lambda",
            "publish_layer_version",
            "lambda:PublishLayerVersion",
            "{lambda}:layer:created-by-a-test",
            {"LayerName": "created-by-a-test", "Content": code},
        ),
    ]


def _on_objects() -> list[Call]:
    def s3(operation: str, action: str, key: str = "", **parameters: Any) -> Call:
        resource = "arn:{partition}:s3:::{bucket}" + (f"/{key}" if key else "")
        given = {"Bucket": "{bucket}"} | ({"Key": key} if key else {}) | parameters
        return Call("s3", operation, f"s3:{action}", resource, given)

    own, others, artifact = "{payloads}probe", "payloads/another/probe", "{artifact}"
    return [
        *(s3("get_object", "GetObject", key) for key in (own, others, artifact)),
        *(s3("put_object", "PutObject", key, Body="x") for key in (own, others, "probe")),
        *(s3("delete_object", "DeleteObject", key) for key in (own, "no-such-key")),
        s3("list_objects_v2", "ListBucket"),
        s3("get_bucket_policy", "GetBucketPolicy"),
        s3("put_bucket_policy", "PutBucketPolicy", Policy=_ROLE_POLICY),
        Call("s3", "list_buckets", "s3:ListAllMyBuckets", "*"),
        Call(
            "s3",
            "create_bucket",
            "s3:CreateBucket",
            "arn:{partition}:s3:::created-by-a-test",
            {"Bucket": "created-by-a-test"},
        ),
    ]


def _on_connections() -> list[Call]:
    calls = []
    for api, url in (("{websocket_api}", "{websocket}"), ("a1b2c3d4", "{other_websocket}")):
        for method, operation, data in (
            ("GET", "get_connection", {}),
            ("POST", "post_to_connection", {"Data": "x"}),
            ("DELETE", "delete_connection", {}),
        ):
            calls.append(
                Call(
                    "apigatewaymanagementapi",
                    operation,
                    "execute-api:ManageConnections",
                    "{execute_api}:" + f"{api}/plldb/{method}/@connections/x",
                    _CONNECTION | data,
                    url,
                )
            )
    for method, path in (("GET", "sessions"), ("POST", "sessions"), ("DELETE", "sessions/x")):
        calls.append(
            Call(
                "execute-api",
                method,
                "execute-api:Invoke",
                "{execute_api}:" + f"{{management_api}}/plldb/{method}/{path}",
                {},
                f"{{management_url}}/{path}",
            )
        )
    return calls


def _on_logs() -> list[Call]:
    own = {"logGroupName": "{log_group}"}
    stream = own | {"logStreamName": "probe"}
    events = {"logEvents": [{"timestamp": 1, "message": "x"}]}
    of_own, of_others = "{logs}:log-group:{log_group}:", "{logs}:log-group:/another:"
    others = {"logGroupName": "/another"}
    return [
        Call(
            "logs",
            "create_log_stream",
            "logs:CreateLogStream",
            of_own + "log-stream:probe",
            stream,
            mistaken="the log group, without its streams",
        ),
        Call(
            "logs",
            "put_log_events",
            "logs:PutLogEvents",
            of_own + "log-stream:probe",
            own | {"logStreamName": "no-such-stream"} | events,
            mistaken="the log group, without its streams",
        ),
        Call(
            "logs",
            "create_log_stream",
            "logs:CreateLogStream",
            of_others + "log-stream:probe",
            others | {"logStreamName": "probe"},
        ),
        Call("logs", "filter_log_events", "logs:FilterLogEvents", of_own + "*", own),
        Call("logs", "get_log_events", "logs:GetLogEvents", of_own + "log-stream:probe", stream),
        Call(
            "logs",
            "put_retention_policy",
            "logs:PutRetentionPolicy",
            of_own + "*",
            own | {"retentionInDays": 1},
        ),
        Call("logs", "delete_log_group", "logs:DeleteLogGroup", of_others + "*", others),
        Call("logs", "describe_log_groups", "logs:DescribeLogGroups", "*"),
        Call(
            "logs",
            "create_log_group",
            "logs:CreateLogGroup",
            "{logs}:log-group:created-by-a-test:*",
            {"logGroupName": "created-by-a-test"},
        ),
    ]


def _on_stacks() -> list[Call]:
    def stack(operation: str, action: str, name: str, **parameters: Any) -> Call:
        resource = "{cloudformation}:stack/" + f"{name}/x"
        given = {"StackName": name} | parameters
        return Call("cloudformation", operation, f"cloudformation:{action}", resource, given)

    return [
        stack("list_stack_resources", "ListStackResources", "{stack}"),
        stack("describe_stacks", "DescribeStacks", "{stack}"),
        stack("get_template", "GetTemplate", "{stack}"),
        stack("delete_stack", "DeleteStack", "no-such-stack"),
        stack("update_stack", "UpdateStack", "no-such-stack", UsePreviousTemplate=True),
        Call("cloudformation", "list_stacks", "cloudformation:ListStacks", "*"),
    ]


def _on_identities() -> list[Call]:
    role = {"RoleName": "no-such-role"}
    arn, user = "arn:{partition}:iam::{account}:role/no-such-role", "created-by-a-test"
    user_arn = "arn:{partition}:iam::{account}:user/" + user
    policy = {"PolicyName": "everything", "PolicyDocument": _ROLE_POLICY}
    return [
        Call("iam", "list_roles", "iam:ListRoles", "*"),
        Call("iam", "list_users", "iam:ListUsers", "*"),
        Call("iam", "get_role", "iam:GetRole", arn, role),
        Call("iam", "put_role_policy", "iam:PutRolePolicy", arn, role | policy),
        Call(
            "iam",
            "attach_role_policy",
            "iam:AttachRolePolicy",
            arn,
            role | {"PolicyArn": "arn:{partition}:iam::aws:policy/AdministratorAccess"},
        ),
        Call(
            "iam",
            "update_assume_role_policy",
            "iam:UpdateAssumeRolePolicy",
            arn,
            role | {"PolicyDocument": _ROLE_POLICY},
        ),
        Call("iam", "delete_role", "iam:DeleteRole", arn, role),
        Call("iam", "create_user", "iam:CreateUser", user_arn, {"UserName": user}),
        Call("iam", "create_access_key", "iam:CreateAccessKey", user_arn, {"UserName": user}),
        Call(
            "sts",
            "assume_role",
            "sts:AssumeRole",
            "{other_role}",
            {"RoleArn": "{other_role}", "RoleSessionName": "probe"},
        ),
    ]


def _on_secrets_and_keys() -> list[Call]:
    secret, parameter = {"SecretId": "no-such-secret"}, {"Name": "no-such-parameter"}
    parameter_arn = "arn:{partition}:ssm:{region}:{account}:parameter/no-such-parameter"
    key = {"KeyId": "11111111-2222-3333-4444-555555555555"}
    key_arn = "arn:{partition}:kms:{region}:{account}:key/" + key["KeyId"]
    secret_arn = "arn:{partition}:secretsmanager:{region}:{account}:secret:no-such-secret"
    return [
        Call("secretsmanager", "list_secrets", "secretsmanager:ListSecrets", "*"),
        Call(
            "secretsmanager",
            "get_secret_value",
            "secretsmanager:GetSecretValue",
            secret_arn,
            secret,
        ),
        Call("secretsmanager", "delete_secret", "secretsmanager:DeleteSecret", secret_arn, secret),
        Call("ssm", "get_parameter", "ssm:GetParameter", parameter_arn, parameter),
        Call("ssm", "delete_parameter", "ssm:DeleteParameter", parameter_arn, parameter),
        Call("ssm", "describe_parameters", "ssm:DescribeParameters", "*"),
        Call("kms", "list_keys", "kms:ListKeys", "*"),
        Call("kms", "create_key", "kms:CreateKey", "*"),
        Call("kms", "encrypt", "kms:Encrypt", key_arn, key | {"Plaintext": "x"}),
        Call("kms", "decrypt", "kms:Decrypt", key_arn, key | {"CiphertextBlob": "x"}),
    ]


def _on_queues_topics_and_rules() -> list[Call]:
    topic, rule = {"TopicArn": "{sns}:no-such-topic"}, {"Name": "no-such-rule"}
    queue_arn = "{sqs}:no-such-queue"
    rule_arn = "arn:{partition}:events:{region}:{account}:rule/no-such-rule"
    names = {"AttributeNames": ["VisibilityTimeout"]}
    body = {"MessageBody": "x"}
    return [
        Call("sqs", "get_queue_attributes", "sqs:GetQueueAttributes", queue_arn, _QUEUE | names),
        Call("sqs", "receive_message", "sqs:ReceiveMessage", queue_arn, _QUEUE),
        Call("sqs", "send_message", "sqs:SendMessage", queue_arn, _QUEUE | body),
        Call("sqs", "purge_queue", "sqs:PurgeQueue", queue_arn, _QUEUE),
        Call("sqs", "list_queues", "sqs:ListQueues", "*"),
        Call("sns", "list_topics", "sns:ListTopics", "*"),
        Call("sns", "publish", "sns:Publish", "{sns}:no-such-topic", topic | {"Message": "x"}),
        Call("sns", "delete_topic", "sns:DeleteTopic", "{sns}:no-such-topic", topic),
        Call("events", "list_rules", "events:ListRules", "*"),
        Call("events", "disable_rule", "events:DisableRule", rule_arn, rule),
        Call("events", "delete_rule", "events:DeleteRule", rule_arn, rule),
        Call(
            "events",
            "put_rule",
            "events:PutRule",
            rule_arn,
            rule | {"ScheduleExpression": "rate(1 day)"},
        ),
    ]


def _on_the_rest() -> list[Call]:
    alarm = "arn:{partition}:cloudwatch:{region}:{account}:alarm:no-such-alarm"
    apis = "arn:{partition}:apigateway:{region}::"
    metric = {"Namespace": "probe", "MetricData": [{"MetricName": "x", "Value": 1}]}
    return [
        Call("apigateway", "get_rest_apis", "apigateway:GET", apis + "/restapis"),
        Call(
            "apigateway",
            "delete_rest_api",
            "apigateway:DELETE",
            apis + "/restapis/a1b2c3d4",
            {"restApiId": "a1b2c3d4"},
        ),
        Call("apigatewayv2", "get_apis", "apigateway:GET", apis + "/apis"),
        Call(
            "apigatewayv2",
            "delete_api",
            "apigateway:DELETE",
            apis + "/apis/a1b2c3d4",
            {"ApiId": "a1b2c3d4"},
        ),
        Call("cloudwatch", "put_metric_data", "cloudwatch:PutMetricData", "*", metric),
        Call(
            "cloudwatch",
            "delete_alarms",
            "cloudwatch:DeleteAlarms",
            alarm,
            {"AlarmNames": ["no-such-alarm"]},
        ),
        Call("cloudwatch", "list_dashboards", "cloudwatch:ListDashboards", "*"),
        Call("dynamodb", "list_tables", "dynamodb:ListTables", "*"),
        Call("ec2", "describe_instances", "ec2:DescribeInstances", "*"),
        Call("kinesis", "list_streams", "kinesis:ListStreams", "*"),
        Call("stepfunctions", "list_state_machines", "states:ListStateMachines", "*"),
    ]


CALLS: list[Call] = [
    *_on_each_table(),
    *_on_each_index(),
    *_on_functions(),
    *_on_objects(),
    *_on_connections(),
    *_on_logs(),
    *_on_stacks(),
    *_on_identities(),
    *_on_secrets_and_keys(),
    *_on_queues_topics_and_rules(),
    *_on_the_rest(),
]

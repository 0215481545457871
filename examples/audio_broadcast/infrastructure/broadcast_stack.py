"""Tables, functions, the WebSocket API, and what watches over them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk.aws_apigatewayv2_authorizers import WebSocketLambdaAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import WebSocketLambdaIntegration
from constructs import Construct

from infrastructure.bundling import bundle
from infrastructure.environments import Environment

_RUNTIME = lambda_.Runtime.PYTHON_3_13
_METRICS = "AudioBroadcast"


class BroadcastStack(cdk.Stack):
    def __init__(self, scope: Construct, id: str, environment: Environment) -> None:
        super().__init__(scope, id, description="WebSocket sessions of a broadcast")
        self._environment = environment
        self._code = bundle(_RUNTIME)
        self._sessions = self._add_table("Sessions", "session_id")
        self._connections = self._add_table("Connections", "connection_id")
        self._connections.add_global_secondary_index(
            index_name="by-session", partition_key=_string("session_id")
        )
        self._counters = self._add_table("Counters", "counter")
        key = self._add_token_key()
        self._functions = {
            name: self._add_function(name)
            for name in ("Authorizer", "Connect", "Heartbeat", "Refresh", "Disconnect")
        }
        self._functions["Authorizer"].add_environment("TOKEN_KEY_ARN", key.secret_arn)
        key.grant_read(self._functions["Authorizer"])
        self._grant_tables()
        self._add_api()
        self._watch()

    # --- What is kept ---

    def _add_table(self, id: str, key: str) -> dynamodb.Table:
        is_durable = self._environment.is_durable
        return dynamodb.Table(
            self,
            id,
            partition_key=_string(key),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=is_durable
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN if is_durable else cdk.RemovalPolicy.DESTROY,
        )

    def _add_token_key(self) -> secretsmanager.Secret:
        key = secretsmanager.Secret(
            self,
            "TokenKey",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64, exclude_punctuation=True
            ),
        )
        cdk.CfnOutput(self, "TokenKeyArn", value=key.secret_arn)
        return key

    # --- What runs ---

    def _add_function(self, id: str) -> lambda_.Function:
        environment = self._environment
        log_group = logs.LogGroup(
            self,
            f"{id}Log",
            retention=logs.RetentionDays[environment.log_retention],
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        return lambda_.Function(
            self,
            id,
            code=self._code,
            handler=f"broadcast.{id.lower()}.handler",
            runtime=_RUNTIME,
            timeout=cdk.Duration.seconds(10),
            memory_size=256,
            log_group=log_group,
            environment={
                "ENVIRONMENT": environment.name,
                "SESSIONS_TABLE": self._sessions.table_name,
                "CONNECTIONS_TABLE": self._connections.table_name,
                "COUNTERS_TABLE": self._counters.table_name,
                "CONNECTS_PER_MINUTE": str(environment.connects_per_minute),
                "SESSIONS_PER_HOUR": str(environment.sessions_per_hour),
                "MESSAGES_PER_MINUTE": str(environment.messages_per_minute),
                "REFRESH_AFTER_SECONDS": str(environment.refresh_after_seconds),
            },
        )

    def _grant_tables(self) -> None:
        for name in ("Connect", "Refresh", "Disconnect"):
            self._sessions.grant_read_write_data(self._functions[name])
            self._connections.grant_read_write_data(self._functions[name])
        for table in (self._sessions, self._connections):
            table.grant_read_data(self._functions["Heartbeat"])
        for name in ("Connect", "Heartbeat", "Refresh"):
            self._counters.grant_write_data(self._functions[name])

    def _add_api(self) -> None:
        authorizer = WebSocketLambdaAuthorizer(
            "Authorizer",
            self._functions["Authorizer"],
            identity_source=["route.request.querystring.token"],
        )
        api = apigateway.WebSocketApi(
            self,
            "Api",
            route_selection_expression="$request.body.action",
            connect_route_options=apigateway.WebSocketRouteOptions(
                integration=self._integrate("Connect"), authorizer=authorizer
            ),
            disconnect_route_options=apigateway.WebSocketRouteOptions(
                integration=self._integrate("Disconnect")
            ),
        )
        api.add_route("heartbeat", integration=self._integrate("Heartbeat"))
        api.add_route("refresh", integration=self._integrate("Refresh"))
        for name in ("Heartbeat", "Refresh", "Disconnect"):
            api.grant_manage_connections(self._functions[name])
        stage = apigateway.WebSocketStage(
            self,
            "Stage",
            web_socket_api=api,
            stage_name=self._environment.name,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=self._environment.throttling_rate,
                burst_limit=self._environment.throttling_burst,
            ),
        )
        cdk.CfnOutput(self, "WebSocketUrl", value=stage.url)

    def _integrate(self, name: str) -> WebSocketLambdaIntegration:
        return WebSocketLambdaIntegration(f"{name}Integration", self._functions[name])

    # --- What watches ---

    def _watch(self) -> None:
        """An alarm for the errors of each function, and a dashboard of what the broadcast does."""
        topic = sns.Topic(self, "Alarms")
        if self._environment.alarm_email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(self._environment.alarm_email))
        errors = {
            name: function.metric_errors(period=cdk.Duration.minutes(5))
            for name, function in self._functions.items()
        }
        for name, metric in errors.items():
            alarm = metric.create_alarm(
                self,
                f"{name}Errors",
                threshold=1,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            alarm.add_alarm_action(actions.SnsAction(topic))
        counted = (
            "ConnectionsOpened",
            "ConnectionsRefused",
            "ConnectionsReplaced",
            "TokensRefused",
        )
        dashboard = cloudwatch.Dashboard(self, "Dashboard")
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="Broadcast", left=[self._counted(name) for name in counted]
            ),
            cloudwatch.GraphWidget(title="Errors", left=list(errors.values())),
        )

    def _counted(self, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=_METRICS,
            metric_name=name,
            dimensions_map={"Environment": self._environment.name},
            statistic="Sum",
        )


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)

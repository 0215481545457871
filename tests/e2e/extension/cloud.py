"""What the tests of the extension share: clients, stacks, and connections to one endpoint."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import boto3
from botocore.config import Config
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket_connect

TEMPLATES = Path(__file__).with_name("templates")
REGION = "us-east-1"
DEADLINE_SECONDS = 30.0
STACK_SECONDS = 120.0
T = TypeVar("T")


@dataclass(frozen=True)
class Stack:
    name: str
    outputs: dict[str, str]


class Cloud:
    """boto3 and WebSocket access to the emulator at ``endpoint``, like ``http://host:port``."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._clients: dict[tuple[Any, ...], Any] = {}

    def client(self, service: str, **kwargs: Any) -> Any:
        """One for each service and set of options: each keeps a connection to the emulator."""
        key = (service, *sorted(kwargs.items()))
        if key not in self._clients:
            self._clients[key] = self.new_client(service, **kwargs)
        return self._clients[key]

    def new_client(self, service: str, **kwargs: Any) -> Any:
        """One with connections of its own."""
        make: Any = boto3.client  # whose stubs want each service's name to be a literal
        return make(
            service,
            **{
                "endpoint_url": self.endpoint,
                "region_name": REGION,
                "aws_access_key_id": "test",
                "aws_secret_access_key": "test",
                "config": Config(retries={"max_attempts": 0}, read_timeout=60),
                **kwargs,
            },
        )

    def stage_url(self, api_id: str, stage: str) -> str:
        return f"{self.endpoint}/_aws/execute-api/{api_id}/{stage}"

    def management(self, api_id: str, stage: str) -> Any:
        return self.client("apigatewaymanagementapi", endpoint_url=self.stage_url(api_id, stage))

    def connect(self, api_id: str, stage: str, **kwargs: Any) -> ClientConnection:
        """Keyword arguments that are strings become the query; the rest goes to websockets."""
        query = {name: value for name, value in kwargs.items() if isinstance(value, str)}
        options = {name: value for name, value in kwargs.items() if name not in query}
        url = self.stage_url(api_id, stage).replace("http", "ws", 1)
        defaults = {"max_size": None, "ping_interval": None, "compression": None}
        # A handshake starts up to two functions.
        options = defaults | {"open_timeout": 2 * DEADLINE_SECONDS} | options
        return websocket_connect(f"{url}?{urlencode(query, quote_via=quote)}", **options)

    @contextmanager
    def stack(self, template: str, **parameters: str) -> Iterator[Stack]:
        """Deploy ``templates/TEMPLATE.yaml``; whatever happens, delete it again."""
        name = f"{template.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
        try:
            self.create_stack(name, template, **parameters)
            yield Stack(name, self.outputs(name))
        finally:
            self.delete_stack(name)

    @contextmanager
    def custom_domain(
        self, api_id: str, stages: Mapping[str, str], name: str = ""
    ) -> Iterator[str]:
        """-> a domain name under which an API's ``stages`` are, by the keys of their mappings."""
        control = self.client("apigatewayv2")
        name = name or f"{uuid.uuid4().hex[:8]}.example.com"
        certificate = f"arn:aws:acm:{REGION}:000000000000:certificate/{uuid.uuid4()}"
        control.create_domain_name(
            DomainName=name,
            DomainNameConfigurations=[{"CertificateArn": certificate, "EndpointType": "REGIONAL"}],
        )
        try:
            for key, stage in stages.items():
                control.create_api_mapping(
                    ApiId=api_id, DomainName=name, Stage=stage, ApiMappingKey=key
                )
            yield name
        finally:
            control.delete_domain_name(DomainName=name)

    @contextmanager
    def http_api(self, route: str, integration: Mapping[str, Any], **stage: Any) -> Iterator[str]:
        """-> the id of an HTTP API with one route, and the stage ``$default``."""
        control = self.client("apigatewayv2")
        api_id: str = control.create_api(Name="one-route", ProtocolType="HTTP")["ApiId"]
        try:
            made = control.create_integration(
                ApiId=api_id, PayloadFormatVersion="1.0", **integration
            )["IntegrationId"]
            control.create_route(ApiId=api_id, RouteKey=route, Target=f"integrations/{made}")
            control.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True, **stage)
            yield api_id
        finally:
            control.delete_api(ApiId=api_id)

    @contextmanager
    def state_machine(self, definition: Mapping[str, Any], **options: Any) -> Iterator[str]:
        """-> the ARN of a state machine."""
        states = self.client("stepfunctions")
        arn: str = states.create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::000000000000:role/any",
            **options,
        )["stateMachineArn"]
        try:
            yield arn
        finally:
            states.delete_state_machine(stateMachineArn=arn)

    def create_stack(self, name: str, template: str, **parameters: str) -> None:
        self._apply("create_stack", name, (TEMPLATES / f"{template}.yaml").read_text(), parameters)

    def update_stack(self, name: str, body: str, **parameters: str) -> None:
        self._apply("update_stack", name, body, parameters)

    def delete_stack(self, name: str) -> None:
        self.client("cloudformation").delete_stack(StackName=name)
        status = self.settled(name)
        assert status in (None, "DELETE_COMPLETE"), self.reasons(name)

    def outputs(self, name: str) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def physical_ids(self, name: str) -> dict[str, str]:
        resources = self.client("cloudformation").describe_stack_resources(StackName=name)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in resources["StackResources"]
        }

    def diagnostics(self) -> dict[str, Any]:
        import urllib.request

        with urllib.request.urlopen(f"{self.endpoint}/_tokenfree/diagnostics") as response:
            measured: dict[str, Any] = json.load(response)
            return measured

    def _apply(self, verb: str, name: str, body: str, parameters: dict[str, str]) -> None:
        getattr(self.client("cloudformation"), verb)(
            StackName=name,
            TemplateBody=body,
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )
        wanted = verb.removesuffix("_stack").upper() + "_COMPLETE"
        assert self.settled(name) == wanted, self.reasons(name)

    def settled(self, name: str) -> str | None:
        """The status in which a change of the stack has ended, or ``busy`` after minutes."""
        return wait_for(
            lambda: self._final_status(name), lambda status: status != "busy", STACK_SECONDS
        )

    def _final_status(self, name: str) -> str | None:
        cloudformation = self.client("cloudformation")
        try:
            status: str = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except cloudformation.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return "busy" if status.endswith("_IN_PROGRESS") else status

    def reasons(self, name: str) -> list[str]:
        events = self.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        return [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if "FAILED" in event["ResourceStatus"]
        ]


def wait_for(
    look: Callable[[], T],
    satisfied: Callable[[T], bool] = bool,
    seconds: float = DEADLINE_SECONDS,
) -> T:
    """What ``look`` returns once it satisfies, or at the deadline."""
    deadline = time.monotonic() + seconds
    while not satisfied(value := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def message(action: str, **fields: Any) -> str:
    return json.dumps({"action": action, **fields})

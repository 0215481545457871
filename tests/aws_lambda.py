"""A double of Lambda's control plane, as AWS describes it, for botocore's own clients.

What is real: parameters are validated, requests serialized and signed, answers parsed. The answers
are held against botocore's service model, so that nothing is answered that Lambda could not answer.
Nothing leaves the process, and time is virtual. Where AWS is silent, this is what is told of it:

- 15 calls a second over all callers of an account, GetPolicy apart, after which they are throttled:
  https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
- an update takes a while, during which others are refused, and gives the function another revision
  twice, when it begins and when it ends: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
- a read may give what was there a moment ago.
- ListFunctions is silent about states:
  https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from tests.virtual_time import VirtualTime

REGION, ACCOUNT = "eu-west-1", "111122223333"
LATEST = "$LATEST"
_PAGE = 50
# Errors that every operation may give, which its own list leaves out:
# https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
_COMMON_ERRORS = {"AccessDeniedException": 403}
_STATES = ("State", "StateReason", "LastUpdateStatus", "LastUpdateStatusReason")
_MAX_ENVIRONMENT = 4096

Found = dict[str, Any]


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def layer_arn(name: str, version: int = 1, account: str = ACCOUNT) -> str:
    return f"arn:aws:lambda:{REGION}:{account}:layer:{name}:{version}"


@dataclass(frozen=True)
class Call:
    """A request that arrived: when, whose, and the status that it got."""

    time: float
    caller: str
    operation: str
    status: int


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818 - the name in its field
    """An answer other than success, by the name that the service model has for it."""

    code: str
    message: str = ""
    members: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class LostAnswerError(Exception):
    """The request is carried out, and its answer lost."""


# Called before each operation with the caller, the operation's name and its parameters. May raise
# a Refusal, or LostAnswerError.
Fault = Callable[[str, str, dict[str, Any]], None]


@dataclass
class Function:
    """``views`` are what reads have given since when, the latest at the end."""

    views: list[tuple[float, Found]]
    versions: dict[str, Found] = field(default_factory=dict)
    aliases: dict[str, Found] = field(default_factory=dict)
    policy: str | None = None
    reserved: int | None = None
    # What an update that is under way leads to, and when.
    outcome: tuple[float, Found] | None = None

    @property
    def current(self) -> Found:
        return self.views[-1][1]


class AwsLambda:
    """One account and region. Changes that no caller makes are made in ``functions``."""

    def __init__(
        self,
        time: VirtualTime,
        *,
        calls_per_second: int = 15,
        update_seconds: float = 3,
        vpc_update_seconds: float = 60,
        latency: float = 0.05,
    ) -> None:
        self.time = time
        self.functions: dict[str, Function] = {}
        self.layers: set[str] = set()
        # Of other accounts, whose owners let nobody read them.
        self.closed_layers: set[str] = set()
        # Without a signature, and functions that take no such layers.
        self.unsigned_layers: set[str] = set()
        self.signed_only: set[str] = set()
        # Aliases and versions with provisioned concurrency, by functions.
        self.provisioned: dict[str, list[str]] = {}
        self.mappings: list[Found] = []
        self.update_failures: dict[str, str] = {}
        # Why versions that are published of a function can't be called.
        self.version_failures: dict[str, str] = {}
        self.calls: list[Call] = []
        self.fault: Fault = lambda *_: None
        # For how long before now a read may be, and whether the next one is that old.
        self.is_stale: Callable[[], float] = lambda: 0.0
        self._update_seconds = update_seconds
        self._vpc_update_seconds = vpc_update_seconds
        self._latency = latency
        self._buckets = {
            name: _Bucket(calls_per_second, time.clock) for name in ("GetPolicy", "others")
        }
        self._revisions = 0

    # --- Who is there -------------------------------------------------------------------------

    def client(self, caller: str, config: Config | None = None) -> Any:
        """A boto3 client that is told apart from others by the name of the caller."""
        client = _make_client(config)

        def answer(request: Any, **_: Any) -> AWSResponse:
            return self._answer(caller, request)

        client.meta.events.register_first("before-send.lambda", answer)
        return client

    def add(self, name: str, **configuration: Any) -> Function:
        """A Python function, deployed a while ago; ``Layers`` are ARNs."""
        found = {
            "FunctionName": name,
            "FunctionArn": function_arn(name),
            "Runtime": "python3.13",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/app",
            "Handler": "app.handler",
            "Timeout": 3,
            "MemorySize": 128,
            "CodeSha256": f"code of {name}",
            "Version": LATEST,
            "PackageType": "Zip",
            "Environment": {"Variables": {"NAME": name}},
            "Layers": [],
            "RevisionId": self._new_revision(),
            "State": "Active",
            "LastUpdateStatus": "Successful",
        } | configuration
        found["Layers"] = [{"Arn": arn, "CodeSize": 1} for arn in found["Layers"]]
        self.layers |= {layer["Arn"] for layer in found["Layers"]}
        self.functions[name] = Function([(self.time.now - 3600, found)])
        return self.functions[name]

    def publish(
        self, name: str, alias: str | None = None, weights: dict[str, float] | None = None
    ) -> str:
        """By a user: a version of what there is, and perhaps an alias for it.

        ``weights`` are the shares of other versions in the calls of that alias.
        """
        function = self.functions[name]
        number = str(1 + max(map(int, function.versions), default=0))
        view = copy.deepcopy(function.current)
        arn = f"{function_arn(name)}:{number}"
        function.versions[number] = view | {"Version": number, "FunctionArn": arn}
        if alias:
            function.aliases[alias] = self._alias(name, alias, number)
            if weights:
                function.aliases[alias]["RoutingConfig"] = {"AdditionalVersionWeights": weights}
        return number

    def edit(self, name: str, **changes: Any) -> None:
        """By a user, unless it is gone, or another update is under way."""
        function = self.functions.get(name)
        if function is not None and function.outcome is None:
            revision = {"RevisionId": self._new_revision()}
            function.views.append((self.time.now, function.current | changes | revision))

    def deployed(self) -> Any:
        """What a user would see of all functions: nothing of revisions, nor of states."""
        self._settle_all()
        hidden = {"RevisionId", *_STATES}
        return {
            name: (
                {key: value for key, value in one.current.items() if key not in hidden},
                sorted(one.versions),
                {alias: found["FunctionVersion"] for alias, found in one.aliases.items()},
            )
            for name, one in self.functions.items()
        }

    def throttled(self, caller: str) -> int:
        return sum(call.caller == caller and call.status == 429 for call in self.calls)

    # --- The wire -----------------------------------------------------------------------------

    def _answer(self, caller: str, request: Any) -> AWSResponse:
        self.time.sleep(self._latency / 2)
        assert f"/{REGION}/lambda/aws4_request" in _text(request.headers["Authorization"])
        operation, parameters = _parse(request)
        lost = False
        try:
            self._settle_all()
            self._take_token(operation.name)
            try:
                self.fault(caller, operation.name, parameters)
            except LostAnswerError:
                lost = True
            found = getattr(self, f"_{xform_name(operation.name)}")(**parameters)
            status = operation.http.get("responseCode", 200)
            body = json.dumps(_checked(found, operation.output_shape)) if found is not None else ""
            headers: dict[str, str] = {}
        except Refusal as refusal:
            status, body, headers = _refused(operation, refusal)
        self.calls.append(Call(self.time.now, caller, operation.name, status))
        self.time.sleep(self._latency / 2)
        if lost:
            raise ReadTimeoutError(endpoint_url=request.url)
        return AWSResponse(request.url, status, headers, _Raw(body.encode()))

    def _take_token(self, operation: str) -> None:
        bucket = self._buckets.get(operation, self._buckets["others"])
        wait = bucket.take()
        if wait:
            raise Refusal(
                "TooManyRequestsException",
                "Rate exceeded",
                {"Reason": "CallerRateLimitExceeded", "Type": "User"},
                {"Retry-After": str(int(wait) + 1)},
            )

    # --- Functions ----------------------------------------------------------------------------

    def _new_revision(self) -> str:
        self._revisions += 1
        return f"00000000-0000-0000-0000-{self._revisions:012}"

    def _settle_all(self) -> None:
        for function in self.functions.values():
            if function.outcome and function.outcome[0] <= self.time.now:
                function.views.append(function.outcome)
                function.outcome = None

    def _function(self, name: str) -> Function:
        """By its name or ARN."""
        function = self.functions.get(name.rpartition(":function:")[2])
        if function is None:
            raise Refusal(
                "ResourceNotFoundException",
                f"Function not found: {function_arn(name)}",
                {"Type": "User"},
            )
        return function

    def _read(self, function: Function) -> Found:
        """As it is, or as it was a moment ago."""
        then = self.time.now - self.is_stale()
        older = [found for since, found in function.views if since <= then]
        return copy.deepcopy(older[-1] if older else function.views[0][1])

    def _get_function_configuration(self, FunctionName: str, Qualifier: str = LATEST) -> Found:  # noqa: N803
        function = self._function(FunctionName)
        if Qualifier == LATEST:
            return self._read(function)
        if Qualifier not in function.versions:
            raise Refusal(
                "ResourceNotFoundException",
                f"Function not found: {function_arn(FunctionName)}:{Qualifier}",
                {"Type": "User"},
            )
        return copy.deepcopy(function.versions[Qualifier])

    def _list_functions(
        self,
        Marker: str = "0",  # noqa: N803
        MaxItems: int = _PAGE,  # noqa: N803
        FunctionVersion: str = "",  # noqa: N803
    ) -> Found:
        found: list[Found] = []
        for _, function in sorted(self.functions.items()):
            found.append(self._read(function))
            if FunctionVersion == "ALL":
                found += copy.deepcopy([*function.versions.values()])
        for one in found:
            for key in _STATES:
                one.pop(key, None)
        return _page(found, "Functions", Marker, min(int(MaxItems), _PAGE))

    def _update_function_configuration(
        self,
        FunctionName: str,  # noqa: N803
        RevisionId: str | None = None,  # noqa: N803
        **changes: Any,
    ) -> Found:
        function = self._function(FunctionName)
        current = function.current
        self._check_free(function)
        if RevisionId not in (None, current["RevisionId"]):
            raise _STALE
        self._check(changes)
        if FunctionName in self.signed_only and {*changes.get("Layers", ())} & self.unsigned_layers:
            raise Refusal(
                "CodeVerificationFailedException",
                "Lambda cannot deploy the function. The function or layer might be signed using a "
                "signature that the client is not configured to accept.",
                {"Type": "User"},
            )
        if "Layers" in changes:
            changes["Layers"] = [{"Arn": arn, "CodeSize": 1} for arn in changes["Layers"]]
        busy = {"LastUpdateStatus": "InProgress", "LastUpdateStatusReasonCode": "Creating"}
        updated = copy.deepcopy(current | changes | {"RevisionId": self._new_revision()})
        in_vpc = bool((updated.get("VpcConfig") or {}).get("VpcId"))
        end = self.time.now + (self._vpc_update_seconds if in_vpc else self._update_seconds)
        outcome = copy.deepcopy(updated) | {"LastUpdateStatus": "Successful"}
        reason = self.update_failures.get(FunctionName)
        if reason:
            # Invocations go to the previous configuration.
            outcome = copy.deepcopy(current) | {"LastUpdateStatus": "Failed"}
            outcome |= {"LastUpdateStatusReason": reason}
        function.outcome = (end, outcome | {"RevisionId": self._new_revision()})
        function.views.append((self.time.now, updated | busy))
        return copy.deepcopy(updated | busy)

    def _check_free(self, function: Function) -> None:
        if function.outcome is not None:
            raise Refusal(
                "ResourceConflictException",
                "The operation cannot be performed at this time. An update is in progress for "
                f"resource: {function.current['FunctionArn']}",
                {"Type": "User"},
            )

    def _check(self, changes: dict[str, Any]) -> None:
        layers = changes.get("Layers") or []
        if len(layers) > 5:
            raise _invalid("Cannot reference more than 5 layers.")
        for arn in layers:
            if arn in self.closed_layers:
                raise Refusal(
                    "AccessDeniedException",
                    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/plldb/manager is not authorized to "
                    f"perform: lambda:GetLayerVersion on resource: {arn} because no resource-based "
                    "policy allows the lambda:GetLayerVersion action",
                )
            if arn not in self.layers:
                raise _invalid(f"Layer version {arn} does not exist.")
        variables = (changes.get("Environment") or {}).get("Variables") or {}
        if len(json.dumps(variables, separators=(",", ":")).encode()) > _MAX_ENVIRONMENT:
            raise _invalid(
                "Lambda was unable to configure your environment variables because the environment "
                "variables you have provided exceeded the 4KB limit."
            )

    def _delete_function(self, FunctionName: str, Qualifier: str | None = None) -> Found | None:  # noqa: N803
        name, _, number = FunctionName.partition(":")
        number = Qualifier or number
        function = self._function(name)
        if not number:
            del self.functions[name]
            return None
        if number not in function.versions:
            raise Refusal("ResourceNotFoundException", f"Function not found: {number}")
        for alias in function.aliases.values():
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            if number in {alias["FunctionVersion"], *weights}:
                raise Refusal(
                    "ResourceConflictException",
                    f"Version {number} is referenced by alias {alias['Name']}",
                )
        del function.versions[number]
        return None

    # --- Versions and aliases -----------------------------------------------------------------

    def _publish_version(
        self,
        FunctionName: str,  # noqa: N803
        RevisionId: str | None = None,  # noqa: N803
        CodeSha256: str | None = None,  # noqa: N803
    ) -> Found:
        function = self._function(FunctionName)
        self._check_free(function)
        current = function.current
        if RevisionId not in (None, current["RevisionId"]):
            raise _STALE
        if CodeSha256 not in (None, current["CodeSha256"]):
            raise _invalid("CodeSHA256 does not match.")
        newest = max(map(int, function.versions), default=0)
        # One that would be the same as the one before is not made.
        if newest and _is_alike(function.versions[str(newest)], current):
            return copy.deepcopy(function.versions[str(newest)])
        version = function.versions[self.publish(FunctionName)]
        if reason := self.version_failures.get(FunctionName):
            version |= {"State": "Failed", "StateReason": reason}
        return copy.deepcopy(version)

    def _list_versions_by_function(
        self,
        FunctionName: str,  # noqa: N803
        Marker: str = "0",  # noqa: N803
        MaxItems: int = _PAGE,  # noqa: N803
    ) -> Found:
        function = self._function(FunctionName)
        found = [self._read(function), *copy.deepcopy([*function.versions.values()])]
        return _page(found, "Versions", Marker, int(MaxItems))

    def _alias(self, name: str, alias: str, number: str) -> Found:
        return {
            "AliasArn": f"{function_arn(name)}:{alias}",
            "Name": alias,
            "FunctionVersion": number,
            "RevisionId": self._new_revision(),
        }

    def _list_aliases(self, FunctionName: str, Marker: str = "0") -> Found:  # noqa: N803
        found = copy.deepcopy([*self._function(FunctionName).aliases.values()])
        return _page(found, "Aliases", Marker, _PAGE)

    def _update_alias(
        self,
        FunctionName: str,  # noqa: N803
        Name: str,  # noqa: N803
        FunctionVersion: str,  # noqa: N803
        RevisionId: str | None = None,  # noqa: N803
    ) -> Found:
        function = self._function(FunctionName)
        alias = function.aliases.get(Name)
        if alias is None or FunctionVersion not in {*function.versions, LATEST}:
            raise Refusal("ResourceNotFoundException", f"Cannot find alias or version: {Name}")
        if RevisionId not in (None, alias["RevisionId"]):
            raise _STALE
        alias |= {"FunctionVersion": FunctionVersion, "RevisionId": self._new_revision()}
        return copy.deepcopy(alias)

    def _list_provisioned_concurrency_configs(self, FunctionName: str, **_: Any) -> Found:  # noqa: N803
        self._function(FunctionName)
        arn = function_arn(FunctionName)
        names = self.provisioned.get(FunctionName, [])
        return {"ProvisionedConcurrencyConfigs": [{"FunctionArn": f"{arn}:{n}"} for n in names]}

    # --- What else is known of a function -----------------------------------------------------

    def _get_policy(self, FunctionName: str, **_: Any) -> Found:  # noqa: N803
        policy = self._function(FunctionName).policy
        if policy is None:
            raise Refusal("ResourceNotFoundException", "The resource you requested does not exist.")
        return {"Policy": policy, "RevisionId": self._new_revision()}

    def _get_function_concurrency(self, FunctionName: str) -> Found:  # noqa: N803
        reserved = self._function(FunctionName).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def _list_event_source_mappings(self, Marker: str = "0", **_: Any) -> Found:  # noqa: N803
        return _page(copy.deepcopy(self.mappings), "EventSourceMappings", Marker, 100)

    def _list_tags(self, Resource: str) -> Found:  # noqa: N803
        self._function(Resource)
        return {"Tags": {}}


_STALE = Refusal(
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
    "API to retrieve the latest Revision Id",
    {"Type": "User"},
)


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValueException", message, {"Type": "User"})


def _is_alike(version: Found, current: Found) -> bool:
    own = {"Version", "FunctionArn", "RevisionId", *_STATES}
    return all(
        version.get(key) == current.get(key) for key in {*version, *current} if key not in own
    )


class _Bucket:
    """As many tokens as fit into a second."""

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._tokens, self._then = float(rate), clock()

    def take(self) -> float:
        """0, or the seconds after which there is one."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._then) * self._rate)
        self._then = now
        # What floating point takes away is no call too many.
        if self._tokens < 1 - 1e-6:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


# --- Against botocore's service model -------------------------------------------------------------


class _Raw(BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@cache
def _session() -> Any:
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    return session


def _make_client(config: Config | None) -> Any:
    """One that validates parameters, whatever the configuration says."""
    strict = (config or Config()).merge(Config(parameter_validation=True))
    return _session().create_client("lambda", REGION, config=strict)


@cache
def _model() -> Any:
    return _session().get_service_model("lambda")


@cache
def _routes() -> list[tuple[str, re.Pattern[str], Any]]:
    """Of paths and queries; those with a query of their own, as ``?List=ALL``, come first."""
    routes = []
    for name in _model().operation_names:
        operation = _model().operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/?]+)", re.escape(path.rstrip("/")))
        rest = rf"/?\?(.*&)?{query}(&.*)?" if query else r"/?(\?.*)?"
        routes.append((operation.http["method"], re.compile(pattern + rest), operation))
    return sorted(routes, key=lambda route: "?" not in route[2].http["requestUri"])


def _parse(request: Any) -> tuple[Any, dict[str, Any]]:
    """The operation and its parameters, as they came over the wire."""
    url = urlsplit(request.url)
    for method, pattern, operation in _routes():
        match = pattern.fullmatch(f"{url.path}?{url.query}" if url.query else url.path)
        if match is None or method != request.method:
            continue
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        named = {
            member: query[shape.serialization["name"]]
            for member, shape in operation.input_shape.members.items()
            if shape.serialization.get("location") == "querystring"
            and shape.serialization["name"] in query
        }
        body = json.loads(request.body or b"{}")
        path = {name: unquote(value) for name, value in match.groupdict().items()}
        return operation, path | named | body
    raise AssertionError(f"Lambda has no {request.method} {url.path}")


def _refused(operation: Any, refusal: Refusal) -> tuple[int, str, dict[str, str]]:
    shapes = {shape.name: shape for shape in operation.error_shapes}
    if refusal.code in shapes:
        shape = shapes[refusal.code]
        status = int(shape.metadata["error"]["httpStatusCode"])
        assert {*refusal.members} <= {*shape.members}, f"{refusal.code} has no such members"
    else:
        status = _COMMON_ERRORS[refusal.code]
    text = "Message" if refusal.code not in shapes or "Message" in shape.members else "message"
    body = json.dumps({text: refusal.message} | refusal.members)
    return status, body, {"x-amzn-ErrorType": refusal.code, **refusal.headers}


def _checked(found: Any, shape: Any) -> Any:
    """What is answered, which must have no member that the service model lacks."""
    if shape is None:
        return found
    if shape.type_name == "structure":
        assert {*found} <= {*shape.members}, (
            f"{shape.name} has no { ({*found} - {*shape.members}) }"
        )
        return {key: _checked(value, shape.members[key]) for key, value in found.items()}
    if shape.type_name == "list":
        return [_checked(value, shape.member) for value in found]
    if shape.type_name == "map":
        return {key: _checked(value, shape.value) for key, value in found.items()}
    return found


def _page(found: list[Found], name: str, marker: str, size: int) -> Found:
    start = int(marker)
    more = {"NextMarker": str(start + size)} if len(found) > start + size else {}
    return {name: found[start : start + size]} | more

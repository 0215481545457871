"""Lambda's control plane: a stack's functions are read and changed, within Lambda's rules."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import islice
from threading import Lock
from typing import Any, Protocol

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from .event_sources import NO_CALLERS, UNKNOWN_CALLERS, Callers, EventSources
from .rate_limit import RateLimit, Turn
from .shared_looks import SharedLooks

# Of the 15 requests a second that Lambda's control plane takes from an account in a region, all
# callers together: the rest is for the deployments of others. An emulator has no others.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
CALLS_PER_SECOND = 12
CALLS_PER_SECOND_ALONE = 15
# An update ends within seconds; in a VPC it may take a minute or two.
_SETTLE_SECONDS = 300
# How long an update takes at least on AWS; emulators are quicker.
FIRST_PAUSE = 1.0
_LAST_PAUSE = 8.0
_CONFLICT_ATTEMPTS = 12
# Calls that are throttled, or fail for a moment, are made again, each in its turn.
_ATTEMPTS = 10
_FIRST_RETRY, _LAST_RETRY, _LONGEST_RETRY_AFTER = 0.5, 8.0, 30.0
_PAGES_AT_FIRST = 5
# A page of AWS's has 50 functions, however many are asked for; an emulator's may have all.
_MOST_ITEMS = 10_000
# So long, in steps, whoever looks waits for others whose updates are about to end: one call then
# serves all of them.
_GATHERING_STEPS, _GATHERING_PAUSE = 10, 0.02
# A list of functions is read as long as it may spare more calls than it takes.
_CALLS_SPARED = 3

_FUNCTION_TYPE = "AWS::Lambda::Function"
_STACK_TYPE = "AWS::CloudFormation::Stack"
# A resource that was deleted may be listed still.
_DELETED = "DELETE_COMPLETE"

# What follows an update only deletes what is not needed any more; and a change set that somebody
# has to look at may never be executed.
_HARMLESS = ("CLEANUP", "REVIEW")

Found = dict[str, Any]


# What has this in place of a number is no version, but the function as it is.
LATEST = "$LATEST"


@dataclass(frozen=True)
class Alias:
    """A function's alias; ``weights`` are the shares of other versions, by their numbers."""

    name: str
    version: str
    revision: str
    weights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Deployment:
    """A deployment of a stack: ``stamp`` tells it from others, and is empty if there is no stack.

    While ``is_under_way``, CloudFormation changes functions, and nobody else should.
    """

    stamp: str = ""
    is_under_way: bool = False


@dataclass(frozen=True)
class FunctionRef:
    """One function of a stack; ``name`` is what Lambda knows it by.

    The logical id of one in a nested stack has those before it that lead there:
    ``Child/Grandchild/Greeter``.
    """

    logical_id: str
    name: str


class GoneError(Exception):
    """The function was deleted."""


class ChangeRefusedError(Exception):
    """Lambda refused the call, in its own words."""


class UnseenUpdateError(ChangeRefusedError):
    """Lambda took the update, but nobody saw its end: it is in effect, or will be, or will fail."""


class _ConflictError(ChangeRefusedError):
    """Another update is under way."""


class _StaleError(ChangeRefusedError):
    """The function has another revision by now."""


class DeniedError(ChangeRefusedError):
    """The role does not allow it."""


class UnsignedError(ChangeRefusedError):
    """The function takes signed code only."""


class ControlPlane(Protocol):
    def of_stack(self, stack_name: str) -> Iterator[FunctionRef]:
        """The functions of a stack and of the stacks nested in it; none, if there is no stack."""
        ...

    def get(self, name: str) -> Found:
        """What GetFunctionConfiguration answers, once no update is under way.

        Raises GoneError.
        """
        ...

    def find(self, names: Collection[str]) -> dict[str, Found]:
        """What is deployed at the moment of these, by name; what is gone is left out."""
        ...

    def list_known(self, names: Collection[str]) -> dict[str, Found]:
        """Of as many of these as takes few calls, what ListFunctions says of them.

        That may be a moment old, and be silent about states.
        """
        ...

    def deployment(self, stack_name: str) -> Deployment:
        """Which deployment of the stack was the last one."""
        ...

    def update(self, name: str, revision: str, changes: dict[str, Any]) -> Found | None:
        """The configuration after the change; None if it is no longer the one of ``revision``.

        Raises GoneError, or ChangeRefusedError: UnseenUpdateError if the change may stand.
        """
        ...

    def aliases(self, name: str) -> list[Alias]:
        """Raises GoneError or ChangeRefusedError, as all that follow."""
        ...

    def provisioned(self, name: str) -> set[str]:
        """The aliases and versions with provisioned concurrency."""
        ...

    def is_throttled(self, name: str) -> bool:
        """Whether no concurrency is left to it, so that nobody can call it."""
        ...

    def callers(self, name: str, qualifier: str = "") -> Callers:
        """Who may call a function without an alias, or by that one; UNKNOWN_CALLERS if unknown."""
        ...

    def version(self, name: str, number: str) -> Found:
        """What GetFunctionConfiguration answers of a published version."""
        ...

    def versions(self, name: str) -> list[Found]:
        """The same of all of them."""
        ...

    def publish(self, name: str, revision: str, code: str | None) -> str | None:
        """The number of a version of the function as it is at that revision and with that code.

        None if it is no longer so. Raises ChangeRefusedError also for one that can't be called.
        """
        ...

    def point(self, name: str, alias: Alias, version: str) -> bool:
        """Points an alias to a version; False if it is not any more as it was read.

        Raises ChangeRefusedError if there is no such version.
        """
        ...

    def delete_version(self, name: str, number: str) -> None:
        """Lambda refuses that while an alias points to it."""
        ...

    def event_sources(self, names: set[str]) -> dict[str, EventSources]:
        """By the names of the functions that have any."""
        ...


class LambdaControlPlane:
    """``lambda_``, ``cloudformation`` and ``sqs`` are boto3 clients, the first one without retries:
    botocore's would take no turns.
    """

    def __init__(
        self,
        lambda_: Any,
        cloudformation: Any,
        sqs: Any,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        first_pause: float = FIRST_PAUSE,
        calls_per_second: int = CALLS_PER_SECOND,
    ) -> None:
        self._lambda = lambda_
        self._cloudformation = cloudformation
        self._sqs = sqs
        self._sleep = sleep
        self._first_pause = first_pause
        # Every call to Lambda's control plane takes its turn, also one that is made again.
        self._calls = RateLimit(calls_per_second, clock, sleep)
        self._looks = SharedLooks(self._turn_to_look, self._look_at)
        # How many updates are too young to be looked at.
        self._young = 0
        self._counting = Lock()
        # How many calls listing the account's functions takes, as far as is known.
        self._pages = _PAGES_AT_FIRST
        # Whether a list of functions says of each in which state it is: an emulator's may.
        self._lists_states = False

    def of_stack(self, stack_name: str) -> Iterator[FunctionRef]:
        # Path → name or ARN of the stacks to list. Nested ones are known by their ARNs.
        stacks = {"": stack_name}
        while stacks:
            path, stack = stacks.popitem()
            for resource in self._resources_of(stack):
                logical_id = path + resource["LogicalResourceId"]
                if resource["ResourceType"] == _FUNCTION_TYPE:
                    yield FunctionRef(logical_id, resource["PhysicalResourceId"])
                elif resource["ResourceType"] == _STACK_TYPE:
                    stacks[f"{logical_id}/"] = resource["PhysicalResourceId"]

    def _resources_of(self, stack: str) -> Iterator[dict[str, Any]]:
        """Those that are there; none, if there is no such stack."""
        pages = self._cloudformation.get_paginator("list_stack_resources")
        try:
            for page in pages.paginate(StackName=stack):
                yield from filter(_is_there, page["StackResourceSummaries"])
        except ClientError as error:
            if not _is_no_stack(error):
                raise

    def get(self, name: str) -> Found:
        pauses = self._pauses()
        while True:
            found = self._looks.look(name) if self._lists_states else self._get_at_once(name)
            if is_settled(found):
                return found
            pause = next(pauses, None)
            if pause is None:
                raise ChangeRefusedError(
                    f"its last update is still under way after {_SETTLE_SECONDS} s"
                )
            self._sleep(pause)

    def _get_at_once(self, name: str, turn: Turn | None = None) -> Found:
        found: Found = self._call(self._lambda.get_function_configuration, turn, FunctionName=name)
        return found

    def deployment(self, stack_name: str) -> Deployment:
        try:
            (stack,) = self._cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
        except ClientError as error:
            if _is_no_stack(error):
                return Deployment()
            raise
        began = stack.get("LastUpdatedTime") or stack["CreationTime"]
        status = stack["StackStatus"]
        is_under_way = status.endswith("_IN_PROGRESS") and not any(
            harmless in status for harmless in _HARMLESS
        )
        return Deployment(f"{began.isoformat()}{' …' if is_under_way else ''}", is_under_way)

    def find(self, names: Collection[str]) -> dict[str, Found]:
        """By a call for each, or by listing all functions of the account, as takes fewer calls."""
        if len(names) > self._pages:
            try:
                return self._list(names)
            except DeniedError:
                pass  # it takes a right to all functions, where the role may have one to some
        found = {}
        for name in names:
            with suppress(GoneError):
                found[name] = self._get_at_once(name)
        return found

    def list_known(self, names: Collection[str]) -> dict[str, Found]:
        try:
            return self._list(names, len(names) // _CALLS_SPARED)
        except ChangeRefusedError:
            return {}

    def _list(
        self, names: Collection[str], most: int | None = None, turn: Turn | None = None
    ) -> dict[str, Found]:
        """Those of these names, or ARNs, that there are on so many pages."""
        found: dict[str, Found] = {}
        pages = 0
        list_functions = partial(self._lambda.list_functions, MaxItems=_MOST_ITEMS)
        for page in islice(self._pages_of(list_functions, turn), most):
            pages += 1
            for one in page["Functions"]:
                self._lists_states = self._lists_states or "LastUpdateStatus" in one
                found |= {
                    name: one for name in (one["FunctionName"], one["FunctionArn"]) if name in names
                }
            if len(found) == len(names):
                break
        has_all = bool(names) and len(found) == len(names)
        # Where reading ended early, there are as many at least.
        self._pages = pages if has_all or pages != most else max(pages, self._pages)
        return found

    def _turn_to_look(self) -> Turn:
        """For ``SharedLooks``: calls are few, and updates that were made together end together."""
        for _ in range(_GATHERING_STEPS):
            if not self._young:
                break
            self._sleep(_GATHERING_PAUSE)
        return self._calls.turn()

    def _look_at(self, names: Collection[str], turn: Turn | None) -> dict[str, Found | Exception]:
        """For ``SharedLooks``, which has taken the turn of the first call."""
        found: dict[str, Found | Exception] = {}
        if len(names) > self._pages:
            found |= self._list(names, turn=turn)
            turn = None
        for name in names:
            if name not in found:
                try:
                    found[name] = self._get_at_once(name, turn)
                except (GoneError, ChangeRefusedError) as error:
                    found[name] = error
                turn = None
        return found

    def update(self, name: str, revision: str, changes: dict[str, Any]) -> Found | None:
        updated: Found = {}
        for pause in (*islice(self._pauses(), _CONFLICT_ATTEMPTS - 1), None):
            try:
                updated = self._call(
                    self._lambda.update_function_configuration,
                    FunctionName=name,
                    RevisionId=revision,
                    **changes,
                )
            except _ConflictError:
                if pause is None:
                    raise ChangeRefusedError("another update of it is under way") from None
                self._sleep(pause)
                continue
            except _StaleError:
                return None
            except GoneError as error:
                # It may as well be one of its layers, or its key.
                self._get_at_once(name)
                raise ChangeRefusedError(str(error.__cause__)) from error
            break
        try:
            settled = self._await_end(name, revision, updated)
        except ChangeRefusedError as error:
            raise UnseenUpdateError(str(error)) from error
        if settled.get("LastUpdateStatus") == "Failed":
            raise ChangeRefusedError(
                str(settled.get("LastUpdateStatusReason") or "the update failed")
            )
        return settled

    def _await_end(self, name: str, revision: str, updated: Found) -> Found:
        """``updated`` is what Lambda answered to the update, which may be its end.

        What is read then may be a moment old. An update gives the function another revision, so
        what has the one from before knows nothing of it, unless an emulator gives none.
        """
        if updated.get("LastUpdateStatus") and is_settled(updated):
            return updated
        self._let_ripen()
        for pause in self._pauses():
            found = self.get(name)
            if found.get("RevisionId") != revision or updated.get("RevisionId") == revision:
                return found
            self._sleep(pause)
        raise ChangeRefusedError(f"it was not seen within {_SETTLE_SECONDS} s")

    def _let_ripen(self) -> None:
        """As long as an update takes at least."""
        with self._counting:
            self._young += 1
        try:
            self._sleep(self._first_pause)
        finally:
            with self._counting:
                self._young -= 1

    def _pauses(self) -> Iterator[float]:
        """Growing pauses, as long as they stay within the time that an update may take."""
        pause, waited = self._first_pause, 0.0
        while waited < _SETTLE_SECONDS:
            yield pause
            waited += pause
            pause = min(pause * 1.5, _LAST_PAUSE)

    def aliases(self, name: str) -> list[Alias]:
        return [
            Alias(
                one["Name"],
                one["FunctionVersion"],
                one["RevisionId"],
                frozenset((one.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or ()),
            )
            for one in self._list_all(self._lambda.list_aliases, "Aliases", FunctionName=name)
        ]

    def provisioned(self, name: str) -> set[str]:
        try:
            found = self._list_all(
                self._lambda.list_provisioned_concurrency_configs,
                "ProvisionedConcurrencyConfigs",
                FunctionName=name,
            )
        except DeniedError:
            # The role allows it. An emulator that takes it for another action has none of these.
            return set()
        return {one["FunctionArn"].rpartition(":")[2] for one in found}

    def callers(self, name: str, qualifier: str = "") -> Callers:
        which: dict[str, Any] = {"Qualifier": qualifier} if qualifier else {}
        try:
            found = self._call(self._lambda.get_policy, FunctionName=name, **which)
            policy = json.loads(found["Policy"])
        except GoneError:
            return NO_CALLERS
        except (ChangeRefusedError, ValueError):
            return UNKNOWN_CALLERS
        if not isinstance(policy, dict):
            return UNKNOWN_CALLERS
        return Callers.from_policy(policy, qualifier)

    def version(self, name: str, number: str) -> Found:
        found: Found = self._call(
            self._lambda.get_function_configuration, FunctionName=name, Qualifier=number
        )
        return found

    def versions(self, name: str) -> list[Found]:
        found = self._list_all(
            self._lambda.list_versions_by_function, "Versions", FunctionName=name
        )
        return [one for one in found if one["Version"] != LATEST]

    def publish(self, name: str, revision: str, code: str | None) -> str | None:
        given: dict[str, Any] = {"RevisionId": revision} | ({"CodeSha256": code} if code else {})
        try:
            published = self._call(self._lambda.publish_version, FunctionName=name, **given)
        except _StaleError:
            return None
        number = str(published["Version"])
        for pause in self._pauses():
            if published.get("State") != "Pending":
                break
            self._sleep(pause)
            published = self.version(name, number)
        if (state := published.get("State", "Active")) in ("Pending", "Failed"):
            reason = published.get("StateReason") or "Lambda does not say why"
            raise ChangeRefusedError(f"a version of it is {state.lower()}: {reason}")
        return number

    def point(self, name: str, alias: Alias, version: str) -> bool:
        try:
            self._call(
                self._lambda.update_alias,
                FunctionName=name,
                Name=alias.name,
                FunctionVersion=version,
                RevisionId=alias.revision,
            )
        except _StaleError:
            return False
        except GoneError as error:
            # Not the function, as a rule: versions that no alias invokes are cleaned up.
            reason = f"alias {alias.name} can't be pointed to version {version}: one is not there"
            raise ChangeRefusedError(reason) from error
        return True

    def delete_version(self, name: str, number: str) -> None:
        if not number.isdigit():
            # Without a version, this call deletes the function.
            raise ValueError(f"{number} is no version")
        # By the version's own name, which is all that the role allows. It may be gone already.
        with suppress(GoneError):
            self._call(self._lambda.delete_function, FunctionName=f"{name}:{number}")

    def is_throttled(self, name: str) -> bool:
        try:
            answer = self._call(self._lambda.get_function_concurrency, FunctionName=name)
        except DeniedError:
            # The role allows it. Not every emulator knows the action.
            return False
        return bool(answer.get("ReservedConcurrentExecutions") == 0)

    def event_sources(self, names: set[str]) -> dict[str, EventSources]:
        sources: dict[str, EventSources] = {}
        timeouts: dict[str, int] = {}
        for page in self._pages_of(self._lambda.list_event_source_mappings):
            for mapping in page["EventSourceMappings"]:
                arn = mapping.get("EventSourceArn", "")
                # arn:partition:lambda:region:account:function:name, and perhaps :alias
                _, _, rest = mapping.get("FunctionArn", "").partition(":function:")
                name, _, qualifier = rest.partition(":")
                if name not in names:
                    continue
                if ":sqs:" in arn and arn not in timeouts:
                    timeouts[arn] = self._visibility_timeout(arn)
                known = sources.get(name, EventSources())
                sources[name] = known.with_mapping(mapping, qualifier, timeouts.get(arn))
        return sources

    def _list_all(self, call: Callable[..., Any], what: str, **parameters: Any) -> list[Any]:
        pages = self._pages_of(partial(call, **parameters))
        return [one for page in pages for one in page[what]]

    def _visibility_timeout(self, queue_arn: str) -> int:
        # arn:partition:sqs:region:account:name; its URL is made of the same parts.
        *_, account, name = queue_arn.split(":")
        try:
            attributes = self._sqs.get_queue_attributes(
                QueueUrl=f"{self._sqs.meta.endpoint_url}/{account}/{name}",
                AttributeNames=["VisibilityTimeout"],
            )
        except ClientError:
            return 0  # it was deleted, or is another account's
        return int(attributes["Attributes"]["VisibilityTimeout"])

    def _pages_of(
        self, operation: Callable[..., Any], turn: Turn | None = None
    ) -> Iterator[dict[str, Any]]:
        position: dict[str, Any] = {}
        while True:
            page = self._call(operation, turn, **position)
            yield page
            turn = None
            if not page.get("NextMarker"):
                break
            position = {"Marker": page["NextMarker"]}

    def _call(self, call: Callable[..., Any], turn: Turn | None = None, **parameters: Any) -> Any:
        """In its turn, and again as long as it is throttled or fails for a moment.

        Raises GoneError or ChangeRefusedError.
        """
        pause = _FIRST_RETRY
        for attempt in range(1, _ATTEMPTS + 1):
            with turn or self._calls.turn():
                turn = None
                try:
                    return call(**parameters)
                except (ClientError, HTTPClientError, NoConnectionError) as error:
                    failure = error
            if attempt == _ATTEMPTS or not _may_pass(failure):
                break
            # Not all come again at once.
            waits = pause * random.uniform(0.5, 1)  # noqa: S311  # nosec B311 - no secret
            if _is_throttled(failure):
                self._calls.back_off(max(waits, _retry_after(failure)))
            else:
                self._sleep(waits)
            pause = min(pause * 2, _LAST_RETRY)
        raise _translate(failure) from failure


_KINDS: dict[str, type[ChangeRefusedError]] = {
    "AccessDeniedException": DeniedError,
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
    "CodeVerificationFailedException": UnsignedError,
    "InvalidCodeSignatureException": UnsignedError,
    "PreconditionFailedException": _StaleError,
    "ResourceConflictException": _ConflictError,
}


# https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html, and what is told of as Lambda's.
_THROTTLES = {"TooManyRequestsException", "ThrottlingException", "Throttling"}


def _is_throttled(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    return _code(error) in _THROTTLES or _status(error) == HTTPStatus.TOO_MANY_REQUESTS


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed in a moment.

    One whose answer was lost, too: what changes anything names the revision that it changes.
    """
    if not isinstance(error, ClientError):
        return True
    return _is_throttled(error) or _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR


def _retry_after(error: Exception) -> float:
    """The seconds that Lambda asks to wait; 0 if it says nothing that can be read.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html#API_UpdateFunctionConfiguration_Errors
    """
    headers = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return min(_LONGEST_RETRY_AFTER, float(headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


def _translate(error: Exception) -> GoneError | ChangeRefusedError:
    if not isinstance(error, ClientError):
        return ChangeRefusedError(f"Lambda can't be reached: {error}")
    code = _code(error)
    if code == "ResourceNotFoundException":
        return GoneError()
    # Where variables take too much room, Lambda quotes all of them.
    reason = (error.response["Error"].get("Message") or code).partition(" String measured:")[0]
    return _KINDS.get(code, ChangeRefusedError)(f"{reason} ({code})")


def _is_there(resource: dict[str, Any]) -> bool:
    """Not one that has no physical id yet, nor one that was deleted."""
    is_made = bool(resource.get("PhysicalResourceId"))
    return is_made and resource.get("ResourceStatus") != _DELETED


def is_settled(found: Found) -> bool:
    """Whether no update is under way, as far as is told."""
    return found.get("LastUpdateStatus") != "InProgress" and found.get("State") != "Pending"


def _is_no_stack(error: ClientError) -> bool:
    """CloudFormation has no code of its own for a stack that is not there, or gone."""
    return _code(error) == "ValidationError" and "does not exist" in str(error)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])

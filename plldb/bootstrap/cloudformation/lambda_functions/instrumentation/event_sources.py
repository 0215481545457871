"""What it means for who calls a function that an invocation is held at a breakpoint.

Each kind is known by an event source mapping, or by the policy that lets a service call a function.
All of them, and where AWS says so, are in docs/event-sources.md. Texts are about a function: they
begin with "its", or with who calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .redirect import MAX_TIMEOUT

# The longest timeout of functions that Kafka, DocumentDB and Amazon MQ feed:
# https://docs.aws.amazon.com/lambda/latest/dg/with-msk-process.html
BROKER_TIMEOUT = 840
# Of a mapping that is neither used now nor about to be:
# https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
_OFF = ("Disabled", "Disabling", "Deleting")
# Services that put events into Lambda's own queue:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
_ASYNCHRONOUS = {
    "codecommit.amazonaws.com": "CodeCommit",
    "config.amazonaws.com": "Config",
    "events.amazonaws.com": "EventBridge",
    "iot.amazonaws.com": "IoT",
    "s3.amazonaws.com": "S3",
    "ses.amazonaws.com": "SES",
    "sns.amazonaws.com": "SNS",
}
# Those that wait for less than half a minute, and what they do then.
_IMPATIENT = {
    "cognito-idp.amazonaws.com": "Cognito waits 5 s for an answer, calls it up to three times, and "
    "then fails its user: at a breakpoint, one sign-in is several invocations",
    "alexa-appkit.amazon.com": "Alexa waits 8 s for an answer",
}

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class EventSources:
    """Of a function. ``timeout_limit`` is what the longest timeout is that its sources allow, 0 for
    a queue that can't be read: it may allow no longer timeout than there is.
    ``call_latest``: one of them calls no alias, and no version. ``cautions`` are what to know.
    """

    timeout_limit: int | None = None
    call_latest: bool = False
    cautions: tuple[str, ...] = ()

    def with_mapping(
        self, mapping: Facts, qualifier: str, queue_timeout: int | None
    ) -> EventSources:
        """``qualifier`` is the alias or version that the mapping calls, or empty.

        ``queue_timeout`` is the visibility timeout of its queue, in seconds; 0 if that is not to be
        had, None if it is of no queue.
        """
        source = _Source(mapping, qualifier, queue_timeout)
        limits = [limit for limit in (self.timeout_limit, source.limit) if limit is not None]
        caution = None if mapping.get("State") in _OFF else source.caution
        return EventSources(
            min(limits, default=None),
            self.call_latest or not qualifier,
            self.cautions if caution is None else (*self.cautions, caution),
        )


@dataclass(frozen=True)
class _Source:
    mapping: Facts
    qualifier: str
    queue_timeout: int | None

    @property
    def _service(self) -> str:
        """As its ARN has it; of a Kafka that is nobody's but the user's, there is no ARN."""
        arn = str(self.mapping.get("EventSourceArn", ""))
        if arn:
            return arn.split(":")[2]
        return "kafka" if self.mapping.get("SelfManagedEventSource") else ""

    @property
    def _name(self) -> str:
        """What people call it: a queue, a stream, a table, a cluster, or its topic."""
        parts = str(self.mapping.get("EventSourceArn", "")).split(":", 5)
        named = parts[-1].split("/")
        name = named[1] if len(named) > 1 else named[0].rpartition(":")[2]
        names = self.mapping.get("Topics") or self.mapping.get("Queues") or [name]
        through = f" (through {self.qualifier})" if self.qualifier else ""
        return f"{', '.join(names)}{through}"

    @property
    def limit(self) -> int | None:
        if self.queue_timeout is not None:
            return self.queue_timeout
        return BROKER_TIMEOUT if self._service in _BROKERS else None

    @property
    def caution(self) -> str | None:
        describe = _DESCRIPTIONS.get(self._service)
        return None if describe is None else describe(self)

    def describe_queue(self) -> str | None:
        if self.queue_timeout == 0:
            return (
                f"its queue {self._name} can't be read, so its timeout is not raised: who holds a "
                "message for longer gets it again"
            )
        is_fifo = str(self.mapping["EventSourceArn"]).endswith(".fifo")
        waits = ", and its message group waits" if is_fifo else ""
        if (self.queue_timeout or MAX_TIMEOUT) >= MAX_TIMEOUT and not waits:
            return None
        return (
            f"its queue {self._name} delivers a message again after {self.queue_timeout} s: an "
            f"invocation has so long here{waits}"
        )

    def describe_stream(self) -> str:
        attempts = self.mapping.get("MaximumRetryAttempts", -1)
        again = f"up to {attempts} times" if attempts >= 0 else "until its records expire"
        return (
            f"its stream {self._name} waits at the shard of an invocation that is held here; a "
            f"batch that fails is tried again {again}"
        )

    def describe_kafka(self) -> str:
        return (
            f"its topic {self._name} waits at the partitions of an invocation that is held here; a "
            "batch that fails is tried again"
        )

    def describe_broker(self) -> str:
        # https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
        return (
            f"its broker's queue {self._name} waits while an invocation is held here: Lambda makes "
            "one at a time for RabbitMQ, five for ActiveMQ"
        )

    def describe_document_db(self) -> str:
        return f"its change stream {self._name} waits while an invocation is held here"


_BROKERS = ("kafka", "mq", "rds")
_DESCRIPTIONS: dict[str, Callable[[_Source], str | None]] = {
    "sqs": _Source.describe_queue,
    "kinesis": _Source.describe_stream,
    "dynamodb": _Source.describe_stream,
    "kafka": _Source.describe_kafka,
    "mq": _Source.describe_broker,
    # DocumentDB's clusters have ARNs of RDS:
    # https://docs.aws.amazon.com/lambda/latest/dg/with-documentdb.html
    "rds": _Source.describe_document_db,
}


@dataclass(frozen=True)
class Callers:
    """Who may call a function, or an alias of it, by its resource-based policy.

    ``are_any``: somebody may. ``services`` are those of them that are AWS's.
    """

    are_any: bool = False
    services: frozenset[str] = frozenset()

    @classmethod
    def from_policy(cls, policy: Facts, qualifier: str = "") -> Callers:
        """Of the function without an alias, or of the alias ``qualifier``.

        Each has a policy of its own; an emulator may give all of a function's statements for any.
        """
        allowed = [
            one
            for one in policy.get("Statement", ())
            if one.get("Effect") == "Allow" and _is_about(one, qualifier)
        ]
        services: set[str] = set()
        for statement in allowed:
            principal = statement.get("Principal")
            named = principal.get("Service", ()) if isinstance(principal, dict) else ()
            services |= {named} if isinstance(named, str) else {*named}
        # In China, some have names of their own.
        return cls(bool(allowed), frozenset(one.removesuffix(".cn") for one in services))


def _is_about(statement: Facts, qualifier: str) -> bool:
    # arn:partition:lambda:region:account:function:name, and perhaps :alias
    _, is_arn, rest = str(statement.get("Resource")).partition(":function:")
    return not is_arn or rest.partition(":")[2] == qualifier


NO_CALLERS, UNKNOWN_CALLERS = Callers(), Callers(are_any=True)


def list_caller_cautions(services: Collection[str]) -> Iterator[str]:
    """What to know of services that call a function by its policy."""
    for service, text in _IMPATIENT.items():
        if service in services:
            yield text
    queued = sorted(name for service, name in _ASYNCHRONOUS.items() if service in services)
    if queued:
        call = "calls" if len(queued) == 1 else "call"
        yield (
            f"{', '.join(queued)} {call} it asynchronously: what fails here comes again, twice at "
            "most, unless the function is configured otherwise"
        )

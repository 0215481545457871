"""The parts of an invocation as JSON: one shape for all who show it or hand it on.

A line of ``plldb attach --output json`` has one part, what a history keeps has all of them; see
docs/reference/invocations.md. Each value is named here, so none that is secret by its nature gets
out: no credentials, and none of the function's variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plldb.debugger.children.invoker import OutputWritten
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted, Legs
from plldb.json_text import read_json

# What Lambda says of an invocation, of which a handler may depend.
_CONTEXT = (
    "aws_request_id",
    "client_context",
    "function_name",
    "function_version",
    "identity",
    "invoked_function_arn",
    "log_group_name",
    "log_stream_name",
    "memory_limit_in_mb",
    "tenant_id",
    "trace_id",
    "w3c",
)


def describe_start(started: InvocationStarted) -> dict[str, Any]:
    """``payload`` is the event: in streams of JSON, ``event`` says what a line is about."""
    return {
        "arrived": started.arrived,
        "deadline": started.deadline,
        "payload": parse_json(started.event),
        "context": choose_context(started.context),
    }


def describe_line(line: OutputWritten) -> dict[str, Any]:
    return {"time": line.time, "stream": line.stream, "line": line.text}


def describe_finish(finished: InvocationFinished) -> dict[str, Any]:
    """``error`` is the whole one, as Lambda reports it; ``reason`` says why no answer from here
    counts. An answer that is no JSON is in ``answerBase64``.
    """
    result = finished.result
    described: dict[str, Any] = {
        "outcome": finished.outcome,
        "durationMs": finished.duration_ms,
        "answer": None,
        "error": None if result is None else result.error,
        "reason": find_reason(finished),
        "wasPaused": finished.was_paused,
        "legs": describe_legs(finished.legs),
    }
    if result is not None and result.raw is not None:
        described["answerBase64"] = result.raw
    elif result is not None and result.result is not None:
        described["answer"] = parse_json(result.result)
    return described


def find_reason(finished: InvocationFinished) -> str | None:
    """Why no answer from here counts; None if one does."""
    return finished.error if finished.outcome == "abandoned" else None


def describe_legs(legs: Legs) -> dict[str, float | None]:
    """In ms."""
    return {"claim": legs.claim, "queue": legs.queue, "run": legs.run, "answer": legs.answer}


def choose_context(context: Mapping[str, Any]) -> dict[str, Any]:
    return {name: context[name] for name in _CONTEXT if name in context}


def parse_json(text: str) -> Any:
    """The value; or the text, where it is nested too deeply, or no JSON."""
    try:
        return read_json(text)
    except ValueError:
        return text

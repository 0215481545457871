"""Events and answers in a few words, for a line about an invocation.

What is known by its form is named as its users name it: ``GET /orders/7``, ``sqs, 3 records``. The
rest is JSON as it is, for whoever shows it to cut.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from plldb.debugger.children.invoker import Outcome

# A longer text is not read, but shown as it begins.
_READ_CHARACTERS = 100_000
_SHOWN_CHARACTERS = 500


def shorten_event(event: str) -> str:
    """``event`` is JSON text; the forms are those of
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
    """
    value = _read(event)
    known = _name_event(value) if isinstance(value, dict) else None
    return _put_in_a_row(known or "") or _shorten(event, value)


def shorten_answer(outcome: Outcome) -> str:
    """An HTTP answer begins with its status; an error is its type and message."""
    if outcome.error is not None:
        return shorten_error(outcome.error["errorType"], outcome.error["errorMessage"])
    if outcome.raw is not None:
        return f"{len(outcome.raw) * 3 // 4:,} bytes that are no JSON"
    text = outcome.result or "null"
    value = _read(text)
    if isinstance(value, dict) and isinstance(value.get("statusCode"), int):
        body = value.get("body")
        status = str(value["statusCode"])
        return f"{status} {_shorten_body(value, body)}".rstrip()
    return _shorten(text, value)


def shorten_error(kind: str, message: str) -> str:
    return _put_in_a_row(f"{kind}: {message}").removesuffix(":")


def _read(text: str) -> Any:
    if len(text) > _READ_CHARACTERS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shorten(text: str, value: Any) -> str:
    if value is not None:
        # What is just not too deep to be read may be so for being written.
        with suppress(RecursionError):
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _put_in_a_row(text)


def _put_in_a_row(text: str) -> str:
    return " ".join(text[:_SHOWN_CHARACTERS].split())


def _shorten_body(answer: dict[str, Any], body: Any) -> str:
    if body is None:
        return ""
    if answer.get("isBase64Encoded"):
        return "(base64)"
    return _shorten(body, _read(body)) if isinstance(body, str) else _shorten("", body)


def _name_event(event: dict[str, Any]) -> str | None:
    request = event.get("requestContext")
    request = request if isinstance(request, dict) else {}
    if isinstance(http := request.get("http"), dict):
        return _name_request(http.get("method"), event.get("rawPath"), event.get("rawQueryString"))
    if "httpMethod" in event:
        query = event.get("queryStringParameters")
        pairs = query.items() if isinstance(query, dict) else ()
        text = "&".join(f"{name}={value}" for name, value in pairs)
        return _name_request(event["httpMethod"], event.get("path"), text)
    if "routeKey" in request and "connectionId" in request:
        body = event.get("body")
        return f"{request['routeKey']} {body if isinstance(body, str) else ''}".rstrip()
    if "detail-type" in event:
        return f"{event['detail-type']} of {event.get('source')}"
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        return _name_records(records)
    return None


def _name_request(method: Any, path: Any, query: Any) -> str:
    return f"{method} {path}" + (f"?{query}" if query else "")


def _name_records(records: list[dict[str, Any]]) -> str | None:
    first = records[0]
    source = first.get("eventSource") or first.get("EventSource")
    if not isinstance(source, str):
        return None
    count = "1 record" if len(records) == 1 else f"{len(records)} records"
    return f"{source.removeprefix('aws:')}, {count}{_name_record(first)}"


def _name_record(record: dict[str, Any]) -> str:
    """What the first one is about."""
    match record:
        case {"body": str(body)}:
            return f": {_shorten(body, _read(body))}"
        case {"eventName": what, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}:
            return f": {what} {bucket}/{key}"
        case {"Sns": {"Message": str(message)}}:
            return f": {_shorten(message, _read(message))}"
        case {"eventName": what, "dynamodb": {"Keys": keys}}:
            return f": {what} {_shorten('', keys)}"
    return ""

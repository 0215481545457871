"""A monitoring product's handler in front of the function's own."""

from __future__ import annotations

import pytest

from plldb.debugger.wrapped_handlers import find_wrapped_handler, is_wrapper

SENTRY = "sentry_sdk.integrations.init_serverless_sdk.sentry_lambda_handler"


@pytest.mark.parametrize(
    ("handler", "variable"),
    [
        ("datadog_lambda.handler.handler", "DD_LAMBDA_HANDLER"),
        ("datadog_lambda/handler.handler", "DD_LAMBDA_HANDLER"),
        ("newrelic_lambda_wrapper.handler", "NEW_RELIC_LAMBDA_HANDLER"),
        ("lumigo_tracer._handler", "LUMIGO_ORIGINAL_HANDLER"),
        ("/opt/python/lumigo_tracer._handler", "LUMIGO_ORIGINAL_HANDLER"),
        ("lumigo_tracer.auto_instrument_handler._handler", "LUMIGO_ORIGINAL_HANDLER"),
        (SENTRY, "SENTRY_INITIAL_HANDLER"),
        ("otel_wrapper.lambda_handler", "ORIG_HANDLER"),
        ("epsagon.wrapper", "EPSAGON_HANDLER"),
        ("thundra.handler.wrapper", "thundra_agent_lambda_handler"),
        ("instana.lambda_handler", "LAMBDA_HANDLER"),
        ("twistlock.handler", "ORIGINAL_HANDLER"),
    ],
)
def test_the_functions_own_is_found(handler: str, variable: str) -> None:
    assert find_wrapped_handler(handler, {variable: "src/app.handler"}) == "src/app.handler"
    assert is_wrapper(handler)


def test_a_variable_alone_changes_nothing() -> None:
    """It may be left over from before."""
    variables = {"DD_LAMBDA_HANDLER": "old.handler", "ORIGINAL_HANDLER": "mine"}
    assert find_wrapped_handler("app.handler", variables) is None
    assert not is_wrapper("app.handler")


def test_without_its_variable_it_fails_here_as_it_does_there() -> None:
    assert find_wrapped_handler("datadog_lambda.handler.handler", {}) is None
    assert find_wrapped_handler(SENTRY, {"SENTRY_INITIAL_HANDLER": ""}) is None


def test_one_product_has_a_default() -> None:
    assert find_wrapped_handler("instana.lambda_handler", {}) == "lambda_function.lambda_handler"

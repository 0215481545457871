"""The function's own handler, where a monitoring product's is deployed in front of it.

Such a product's handler finds the function's own one in a variable. It comes in a layer, reports to
a process that Lambda has beside the function, and would report a developer's experiments. So the
function's own handler is run, whether or not the product is installed here.
"""

from __future__ import annotations

from collections.abc import Mapping

# The product's handler → the variable with the function's own. From the products' sources:
_VARIABLES = {
    # https://github.com/DataDog/datadog-lambda-python/blob/main/datadog_lambda/handler.py
    "datadog_lambda.handler.handler": "DD_LAMBDA_HANDLER",
    # https://github.com/newrelic/newrelic-lambda-layers/blob/master/python/newrelic_lambda_wrapper.py
    "newrelic_lambda_wrapper.handler": "NEW_RELIC_LAMBDA_HANDLER",
    # https://github.com/lumigo-io/python_tracer/blob/master/src/lumigo_tracer/auto_instrument_handler.py
    "lumigo_tracer._handler": "LUMIGO_ORIGINAL_HANDLER",
    "lumigo_tracer.auto_instrument_handler._handler": "LUMIGO_ORIGINAL_HANDLER",
    # https://github.com/getsentry/sentry-python/blob/master/scripts/init_serverless_sdk.py
    "sentry_sdk.integrations.init_serverless_sdk.sentry_lambda_handler": "SENTRY_INITIAL_HANDLER",
    # https://github.com/open-telemetry/opentelemetry-lambda/blob/main/python/src/otel/otel_sdk/otel-instrument
    "otel_wrapper.lambda_handler": "ORIG_HANDLER",
    # https://github.com/epsagon/epsagon-python/blob/master/epsagon/handler.py
    "epsagon.wrapper": "EPSAGON_HANDLER",
    "epsagon.handler.wrapper": "EPSAGON_HANDLER",
    # https://github.com/thundra-io/thundra-agent-python/blob/master/thundra/handler.py
    "thundra.handler.wrapper": "thundra_agent_lambda_handler",
    # https://www.ibm.com/docs/en/instana-observability/current?topic=lambda-aws-native-tracing-python
    "instana.lambda_handler": "LAMBDA_HANDLER",
    # https://docs.prismacloud.io: Serverless Defender
    "twistlock.handler": "ORIGINAL_HANDLER",
}
# The function's own handler, where the variable is missing.
_DEFAULTS = {"LAMBDA_HANDLER": "lambda_function.lambda_handler"}
_LAYER_FOLDERS = ("/opt/python/", "/opt/")


def find_wrapped_handler(handler: str, variables: Mapping[str, str]) -> str | None:
    """The handler that ``handler`` calls, by the function's variables; None if it is its own.

    None as well if its variable is missing: then it fails here as it does on Lambda.
    """
    variable = _find_variable(handler)
    return variables.get(variable) or _DEFAULTS.get(variable) if variable is not None else None


def find_own_handler(handler: str, variables: Mapping[str, str]) -> str:
    """The function's own one, as far as it is known."""
    return find_wrapped_handler(handler, variables) or handler


def is_wrapper(handler: str) -> bool:
    """Whether it is such a product's."""
    return _find_variable(handler) is not None


def _find_variable(handler: str) -> str | None:
    for folder in _LAYER_FOLDERS:
        handler = handler.removeprefix(folder)
    return _VARIABLES.get(handler.replace("/", "."))

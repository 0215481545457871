"""``tokenfree-for-localstack``: LocalStack on this machine, with this package in it, in front.

Each setting is a variable of the environment; what is not set gets the default below. The port is
open to this machine only: whoever reaches it can run functions as you.
"""

import os
from collections.abc import MutableMapping

# The reasons are in the image's Dockerfile, which sets the same.
DEFAULTS = {
    "DISABLE_EVENTS": "1",
    "DNS_ADDRESS": "0",
    "GATEWAY_LISTEN": "127.0.0.1:4566",
    "IN_MEMORY_CLIENT": "1",
    "LAMBDA_RUNTIME_EXECUTOR": "subprocess",
    "PROVIDER_OVERRIDE_CLOUDWATCH": "v1",
    "PROVIDER_OVERRIDE_DYNAMODB": "moto",
    "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
    "PROVIDER_OVERRIDE_KINESIS": "moto",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
}


def main() -> None:
    """Runs until it gets SIGINT or SIGTERM."""
    set_defaults(os.environ)
    from localstack.runtime.main import main as run

    run()


def set_defaults(environ: MutableMapping[str, str]) -> None:
    for name, value in DEFAULTS.items():
        environ.setdefault(name, value)

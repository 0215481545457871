"""A tool finds the target that plldb has, and nothing else that is set here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.config import EmulatorAddress, TargetSettings
from plldb.dev.tool_environment import (
    make_tool_environment,
    name_emulator_keys,
    name_endpoint,
)

URL = "http://127.0.0.1:4566"
EMULATOR = TargetSettings("emulator", "us-east-1", emulator=EmulatorAddress(URL, "http://in:4566"))
AWS = TargetSettings("aws", None, profile="dev")
SERVED = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials"}

# Each would have a tool call somewhere else, or as somebody else.
FOREIGN = {
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_SECURITY_TOKEN": "real",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/real",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/real",
    "AWS_ENDPOINT_URL": "http://elsewhere:1",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://elsewhere:2",
    "AWS_ENDPOINT_URL_S3": "http://elsewhere:3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_REGION": "eu-west-9",
    "AWS_DEFAULT_REGION": "eu-west-9",
    "AWS_ACCOUNT_ID": "123456789012",
    "PLLDB_PROFILE": "production",
    "PLLDB_TARGET": "aws",
    "PLLDB_ENDPOINT_URL": "http://elsewhere:1",
}


def of_emulator(environ: dict[str, str], url: str = URL) -> dict[str, str]:
    settings = TargetSettings("emulator", "us-east-1", emulator=EmulatorAddress(url, url))
    keys = name_emulator_keys(settings)
    addresses = {"localhost": "127.0.0.1", "emulator": "172.17.0.2"}
    return make_tool_environment(environ, settings, "us-east-1", keys, addresses.get)


def of_aws(environ: dict[str, str], settings: TargetSettings = AWS) -> dict[str, str]:
    return make_tool_environment(environ, settings, "eu-central-1", SERVED, lambda _: None)


class TestOnAnEmulator:
    def test_sdks_and_plldb_itself_find_it(self) -> None:
        keys = name_emulator_keys(EMULATOR)
        environ = make_tool_environment({}, EMULATOR, "us-east-1", keys, lambda _: None)
        assert environ["AWS_ENDPOINT_URL"] == environ["PLLDB_ENDPOINT_URL"] == URL
        assert environ["PLLDB_INSIDE_ENDPOINT_URL"] == "http://in:4566"
        assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "us-east-1"
        assert environ["AWS_ACCESS_KEY_ID"] == environ["AWS_SECRET_ACCESS_KEY"] == "test"
        assert environ["AWS_EC2_METADATA_DISABLED"] == "true"

    def test_nothing_that_selects_another_target_is_passed_on(self) -> None:
        assert of_emulator(FOREIGN) == of_emulator({})

    @given(st.from_regex(r"AWS_ENDPOINT_URL_[A-Z0-9_]+", fullmatch=True), st.text())
    def test_whatever_service_it_would_be_for(self, name: str, value: str) -> None:
        assert of_emulator({name: value}) == of_emulator({})

    def test_what_no_custom_endpoint_goes_with_is_left_out(self) -> None:
        assert of_emulator({"AWS_USE_FIPS_ENDPOINT": "true"}) == of_emulator({})

    def test_everything_else_is(self) -> None:
        own = {"PATH": "/bin", "HOME": "/home/me", "AWS_PAGER": "", "TF_LOG": "debug"}
        assert own.items() <= of_emulator(own).items()

    def test_tools_send_no_telemetry_unless_their_user_wants_it(self) -> None:
        assert of_emulator({})["SAM_CLI_TELEMETRY"] == "0"
        assert of_emulator({"SAM_CLI_TELEMETRY": "1"})["SAM_CLI_TELEMETRY"] == "1"

    @pytest.mark.parametrize(
        ("url", "of_s3"),
        [
            ("http://127.0.0.1:4566", None),
            ("http://[::1]:4566", None),
            ("http://localhost:4566", "http://127.0.0.1:4566"),
            ("http://emulator", "http://172.17.0.2"),
            ("https://localhost:4566", None),
            ("http://nobody-knows:4566", None),
        ],
    )
    def test_s3_is_named_by_address_so_that_buckets_come_into_the_path(
        self, url: str, of_s3: str | None
    ) -> None:
        assert of_emulator({}, url).get("AWS_ENDPOINT_URL_S3") == of_s3

    def test_no_proxy_is_asked_for_it(self) -> None:
        environ = of_emulator({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "intern"})
        assert environ["no_proxy"] == environ["NO_PROXY"]
        assert {"intern", "127.0.0.1", "localhost"} <= {*environ["NO_PROXY"].split(",")}


class TestOnAws:
    def test_it_has_the_credentials_of_plldb(self) -> None:
        environ = of_aws({})
        assert SERVED.items() <= environ.items()
        assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "eu-central-1"
        assert environ["PLLDB_TARGET"] == "aws"
        assert "AWS_ENDPOINT_URL" not in environ

    def test_and_no_others(self) -> None:
        assert of_aws(FOREIGN) == of_aws({})

    def test_endpoints_of_the_profile_are_followed(self) -> None:
        settings = TargetSettings(
            "aws", None, profile="dev", service_endpoints={"dynamodb": "https://vpce-1"}
        )
        assert of_aws(FOREIGN, settings)["AWS_ENDPOINT_URL_DYNAMODB"] == "https://vpce-1"

    def test_what_holds_for_aws_is_left_alone(self) -> None:
        own = {"AWS_USE_FIPS_ENDPOINT": "true", "SAM_CLI_TELEMETRY": "1", "HTTPS_PROXY": "http://p"}
        assert own.items() <= of_aws(own).items()
        assert "AWS_EC2_METADATA_DISABLED" not in of_aws({})


@pytest.mark.parametrize(
    ("command", "is_given"),
    [
        ("aws sqs list-queues", True),
        ("/usr/bin/aws --output json sqs list-queues", True),
        ("aws s3 ls", False),  # that has a variable of its own, for buckets in paths
        ("aws --endpoint-url http://elsewhere:1 sqs list-queues", False),
        ("aws sqs list-queues --endpoint-url=http://elsewhere:1", False),
        ("awslocal sqs list-queues", False),
        ("sqs", False),
    ],
)
def test_the_aws_cli_asks_the_emulator_for_sqs_in_any_version(command: str, is_given: bool) -> None:
    program, *arguments = command.split()
    option = ["--endpoint-url", URL] if is_given else []
    assert name_endpoint(command.split(), EMULATOR) == [program, *option, *arguments]
    assert name_endpoint(command.split(), AWS) == command.split()

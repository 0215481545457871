"""Endpoints in AWS's own configuration: one target for plldb and its children, or none."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from plldb.aws import Target
from plldb.aws_profile import find_profile_endpoints
from plldb.config import EmulatorAddress, Options, ProfileEndpoints, SettingsResolver
from plldb.errors import CredentialsError, PlldbError, TargetError, UsageError

LOCALSTACK = "http://localhost:4566"
VPC = "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes AWS's configuration file."""
    path = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path.write_text


def find(profile: str | None = "dev", **environ: str) -> ProfileEndpoints:
    return find_profile_endpoints(profile, environ)


def services(**urls: str) -> str:
    """The section of a profile that names endpoints, and the profile."""
    lines = [f"{name} =\n  endpoint_url = {url}" for name, url in urls.items()]
    return "\n".join(["[profile dev]", "services = mine", "[services mine]", *lines, ""])


class TestEndpoints:
    @pytest.mark.parametrize("text", ["", "[profile dev]\nregion = eu-west-1\n"])
    def test_most_profiles_name_none(self, write, text: str) -> None:
        write(text)
        assert find() == ProfileEndpoints()

    def test_a_profile_that_is_not_there_is_others_to_name(self, write) -> None:
        write("[profile other]\n")
        assert find() == ProfileEndpoints()

    @pytest.mark.parametrize(
        "text",
        [
            f"[profile dev]\nendpoint_url = {LOCALSTACK}\n",
            services(cloudformation=LOCALSTACK, dynamodb=LOCALSTACK),
            f"[profile dev]\nendpoint_url = {LOCALSTACK}\nservices = mine\n"
            "[services mine]\ns3 =\n  endpoint_url = http://s3.localhost.localstack.cloud:4566\n",
        ],
    )
    def test_one_for_all_services_is_an_emulator(self, write, text: str) -> None:
        write(text)
        emulator = find().emulator
        assert emulator is not None
        assert emulator.value == LOCALSTACK
        assert emulator.source == "endpoint_url of the profile dev"

    def test_endpoints_of_aws_are_those_of_single_services(self, write) -> None:
        write(services(dynamodb=VPC, s3="https://s3-fips.us-gov-west-1.amazonaws.com"))
        found = find(AWS_ENDPOINT_URL_DYNAMODB="https://dynamodb.eu-west-1.api.aws")
        assert found.emulator is None
        assert found.services == {
            "dynamodb": "https://dynamodb.eu-west-1.api.aws",
            "s3": "https://s3-fips.us-gov-west-1.amazonaws.com",
        }

    @pytest.mark.parametrize(
        "text",
        [
            services(dynamodb="http://localhost:8000"),
            services(dynamodb=VPC, sqs="http://localhost:9324"),
            services(cloudformation=LOCALSTACK, dynamodb="http://localhost:8000"),
            services(dynamodb="https://amazonaws.com.example"),
            f"[profile dev]\nendpoint_url = {LOCALSTACK}\nservices = mine\n"
            "[services mine]\ndynamodb =\n  endpoint_url = http://localhost:8000\n",
            "[profile dev]\nendpoint_url = https://localstack.example\nservices = mine\n"
            "[services mine]\ns3 =\n  endpoint_url = https://s3.eu-central-1.amazonaws.com\n",
            "[profile dev]\nendpoint_url = https://localstack.example\nservices = mine\n"
            "[services mine]\ns3 =\n  endpoint_url = https://s3.example\n",
            f"[profile dev]\nendpoint_url = {VPC}\n",
            "[profile dev]\nservices = gone\n",
        ],
    )
    def test_what_is_no_single_target_is_refused_with_a_remedy(self, write, text: str) -> None:
        write(text)
        with pytest.raises(TargetError, match="profile dev") as raised:
            find()
        assert raised.value.hint

    def test_a_file_that_makes_no_sense_is_named(self, write, tmp_path: Path) -> None:
        write("endpoint_url = x\n")
        with pytest.raises(CredentialsError, match=str(tmp_path / "config")):
            find()

    @pytest.mark.parametrize("url", ["http://localhost:8000", "http://[", ""])
    def test_other_variables_are_followed_by_nobody(self, write, url: str) -> None:
        write("[profile dev]\n")
        found = find(AWS_ENDPOINT_URL_DYNAMODB=url, AWS_ENDPOINT_URL=LOCALSTACK)
        assert found == ProfileEndpoints(ignored=("AWS_ENDPOINT_URL_DYNAMODB",) if url else ())

    def test_whoever_has_them_ignored_has_them_ignored(
        self, write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(services(dynamodb="http://localhost:8000"))
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        assert find() == ProfileEndpoints()
        monkeypatch.delenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        write(f"[profile dev]\nendpoint_url = {LOCALSTACK}\nignore_configured_endpoint_urls=true\n")
        assert find() == ProfileEndpoints()

    @pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
    def test_without_a_profile_it_is_the_one_that_sdks_use(
        self, write, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(f"[profile dev]\nendpoint_url = {LOCALSTACK}\n")
        assert find(None) == ProfileEndpoints()
        monkeypatch.setenv(variable, "dev")
        assert find(None).emulator is not None


class TestTarget:
    @pytest.fixture(autouse=True)
    def _profile(self, write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(f"[profile dev]\nregion = eu-west-1\nendpoint_url = {LOCALSTACK}/\n")
        (tmp_path / "credentials").write_text(
            "[dev]\naws_access_key_id = mine\naws_secret_access_key = s\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    def resolve(self, flags: Options, running: EmulatorAddress | None = None, **environ: str):
        resolver = SettingsResolver(flags, environ)
        return resolver.resolve_target(lambda: running, lambda name: find(name, **environ))

    def test_it_is_the_emulator_with_the_profiles_credentials_and_region(self) -> None:
        target = Target(self.resolve(Options(profile="dev")))
        assert (target.is_aws, target.region) == (False, "eu-west-1")
        assert target.description == f"{LOCALSTACK} (eu-west-1)"
        assert target.load_credentials().access_key_id == "mine"
        for service in ("sts", "s3", "cloudformation", "lambda"):
            assert target.client(service).meta.endpoint_url == LOCALSTACK

    def test_its_functions_see_it_as_those_of_the_running_emulator_do(self) -> None:
        running = EmulatorAddress(LOCALSTACK, "http://inside:4566")
        settings = self.resolve(Options(profile="dev"), running)
        assert settings.emulator == running

    def test_an_sdk_with_the_childrens_variables_goes_there_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = Target(self.resolve(Options(profile="dev")))
        monkeypatch.delenv("AWS_CONFIG_FILE")
        monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
        for name, value in target.endpoint_environment().items():
            monkeypatch.setenv(name, value)
        client = boto3.Session(region_name="eu-west-1").client("dynamodb")
        assert client.meta.endpoint_url == LOCALSTACK

    @pytest.mark.parametrize(
        ("flags", "environ"),
        [
            (Options(profile="dev", target="aws"), {}),
            (Options(target="aws"), {"AWS_PROFILE": "dev"}),
        ],
    )
    def test_aws_by_name_contradicts_it(
        self, flags: Options, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(TargetError, match="--target") as raised:
            self.resolve(flags, **environ)
        assert LOCALSTACK in raised.value.message
        assert "--profile" in str(raised.value.hint)

    def test_a_url_that_is_none_is_named(self, write) -> None:
        write("[profile dev]\nendpoint_url = localhost:4566\n")
        with pytest.raises(UsageError, match="endpoint_url of the profile dev"):
            self.resolve(Options(profile="dev"))

    def test_an_endpoint_variable_that_is_to_be_ignored_selects_nothing(self) -> None:
        environ = {
            "AWS_ENDPOINT_URL": LOCALSTACK,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        }
        with pytest.raises(PlldbError, match="No emulator"):
            self.resolve(Options(), **environ)

"""Where calls go, decided once from flags, environment and defaults.

The order is: ``--profile`` or ``--target aws`` → AWS; ``--endpoint-url`` or ``AWS_ENDPOINT_URL``
→ that emulator; otherwise the emulator that ``plldb local up`` started. AWS credentials in the
environment never select AWS by themselves. A flag wins over any environment variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from plldb.errors import TargetError, UsageError

Kind = Literal["aws", "emulator"]
Output = Literal["text", "json"]

KINDS: tuple[Kind, ...] = ("aws", "emulator")
OUTPUTS: tuple[Output, ...] = ("text", "json")
DEFAULT_HELPER_STACK = "plldb"
# On every helper stack, with the version of plldb that deployed it.
VERSION_TAG = "plldb:version"
DEFAULT_EMULATOR_REGION = "us-east-1"
# Emulators take any account's worth of rights from these; they open nothing on AWS.
EMULATOR_ACCESS_KEY_ID = "test"
EMULATOR_SECRET_ACCESS_KEY = "test"  # noqa: S105


@dataclass(frozen=True)
class Options:
    """The global options of the command line; ``None`` is one that was not given."""

    profile: str | None = None
    target: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    output: str | None = None
    verbose: bool | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Options:
        """Each option's ``PLLDB_…`` variable; an empty one counts as not set."""
        values: dict[str, str | bool | None] = {
            field.name: environ.get(environment_variable(field.name)) or None
            for field in fields(cls)
        }
        if values["verbose"] is not None:
            values["verbose"] = str(values["verbose"]).lower() not in ("0", "false", "no")
        return cls(**values)  # type: ignore[arg-type]


def environment_variable(option: str) -> str:
    return f"PLLDB_{option.upper()}"


@dataclass(frozen=True)
class EmulatorAddress:
    """One emulator, as seen from here and from the Lambda functions that it runs."""

    endpoint_url: str
    inside_url: str


@dataclass(frozen=True)
class TargetSettings:
    """What ``plldb.aws.Target`` is made from.

    ``region`` is None only where AWS's own configuration (the profile) is to decide.
    """

    kind: Kind
    region: str | None
    profile: str | None = None
    emulator: EmulatorAddress | None = None
    access_key_id: str = EMULATOR_ACCESS_KEY_ID
    secret_access_key: str = EMULATOR_SECRET_ACCESS_KEY


@dataclass(frozen=True)
class Settings:
    output: Output
    verbose: bool
    home: Path


def load_settings(flags: Options, environ: Mapping[str, str], default_home: Path) -> Settings:
    """How plldb talks and where it keeps its state (``PLLDB_HOME``)."""
    variables = Options.from_environment(environ)
    output = flags.output or variables.output or "text"
    if output not in OUTPUTS:
        raise UsageError(
            f"PLLDB_OUTPUT is {output!r}, which is no output format.", "Use 'text' or 'json'."
        )
    home = environ.get("PLLDB_HOME")
    return Settings(
        output=output,
        verbose=bool(flags.verbose if flags.verbose is not None else variables.verbose),
        home=Path(home).expanduser() if home else default_home,
    )


def load_target(
    flags: Options, environ: Mapping[str, str], running: EmulatorAddress | None
) -> TargetSettings:
    """Decide where calls go. ``running`` is the emulator that ``plldb local up`` started."""
    variables = Options.from_environment(environ)
    chosen = _choose(flags) or _choose(variables)
    if chosen is None and (url := environ.get("AWS_ENDPOINT_URL")):
        chosen = Options(endpoint_url=url)
    region = flags.region or variables.region
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
    if chosen is not None and _is_aws(chosen):
        # `--target aws` says where, not as whom: a profile in the environment still counts.
        return TargetSettings("aws", region, profile=chosen.profile or variables.profile)
    return TargetSettings(
        "emulator",
        region or DEFAULT_EMULATOR_REGION,
        emulator=_emulator_address(chosen, environ, running),
        access_key_id=environ.get("PLLDB_EMULATOR_ACCESS_KEY_ID") or EMULATOR_ACCESS_KEY_ID,
        secret_access_key=environ.get("PLLDB_EMULATOR_SECRET_ACCESS_KEY")
        or EMULATOR_SECRET_ACCESS_KEY,
    )


def _choose(options: Options) -> Options | None:
    """The options, if they name a target; a contradiction is refused."""
    if options.target not in (None, *KINDS):
        raise UsageError(f"{options.target!r} is no target.", "Use 'aws' or 'emulator'.")
    if _is_aws(options) and options.endpoint_url:
        raise UsageError(
            "An endpoint URL selects an emulator, but AWS was selected as well.",
            "Give either --profile (or --target aws) or --endpoint-url, not both.",
        )
    if options.profile and options.target == "emulator":
        raise UsageError("--profile selects AWS, --target emulator does not.", "Give one of them.")
    return options if _is_aws(options) or options.endpoint_url or options.target else None


def _is_aws(options: Options) -> bool:
    return bool(options.profile) or options.target == "aws"


def _emulator_address(
    chosen: Options | None, environ: Mapping[str, str], running: EmulatorAddress | None
) -> EmulatorAddress:
    url = chosen.endpoint_url if chosen else None
    if chosen is not None:
        # `--target emulator` says of which kind, not where.
        url = url or environ.get(environment_variable("endpoint_url"))
        url = url or environ.get("AWS_ENDPOINT_URL")
    if not url:
        if running is None:
            raise TargetError(
                "No emulator is running, and no AWS profile is selected.",
                "Run 'plldb local up' for a local emulator, or give --profile NAME for AWS.",
            )
        return running
    url = _checked_url(url)
    if running is not None and running.endpoint_url == url:
        return running
    inside_url = environ.get("PLLDB_INSIDE_ENDPOINT_URL")
    return EmulatorAddress(url, _checked_url(inside_url) if inside_url else url)


def _checked_url(url: str) -> str:
    hint = "Give it as http://HOST:PORT, as in http://127.0.0.1:4566."
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is no endpoint URL.", hint)
    return f"{parts.scheme}://{parts.netloc}"

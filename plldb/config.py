"""What to do and where calls go, decided once from every source of options.

The sources, from the one that wins to the one that yields: the command line; the ``PLLDB_…``
variables; AWS's own variables for an endpoint and a region; the chosen environment of
``plldb.toml``; defaults.

Calls go to AWS with a profile or the target ``aws``, to an emulator with an endpoint URL or the
target ``emulator``. The first source that says one of these decides, and nothing that a source
below it says contradicts it. Without any, they go to the emulator that ``plldb local up`` started.
AWS credentials in the environment never select AWS by themselves. A profile that names an endpoint
of its own selects the emulator there, with the profile's credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from plldb.errors import TargetError, UsageError
from plldb.option_names import KINDS, OUTPUTS, Kind, Output, name_flag, name_variable

DEFAULT_HELPER_STACK = "plldb"
# On every helper stack, with the version of plldb that deployed it.
VERSION_TAG = "plldb:version"
DEFAULT_EMULATOR_REGION = "us-east-1"
# Emulators take any account's worth of rights from these; they open nothing on AWS.
EMULATOR_ACCESS_KEY_ID = "test"
EMULATOR_SECRET_ACCESS_KEY = "test"  # nosec B105  # noqa: S105

DEFAULT_ENVIRONMENT = "development"
# What an environment makes of the template's parameters before plldb.toml is asked; development
# leaves them as they are.
BUILT_IN_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    DEFAULT_ENVIRONMENT: {},
    "production": {
        "LogRetentionDays": "90",
        "PointInTimeRecovery": "true",
        "DeletionProtection": "true",
        "Dashboard": "true",
        "FunctionCredentials": "denied",
        "MaxPendingSessions": "100",
        "ThrottlingRate": "200",
        "ThrottlingBurst": "400",
    },
}

# The source of what nobody set.
DEFAULT = "default"
# How often -v may be given, in the words of a variable.
_VERBOSITIES: Mapping[str, int] = {
    "0": 0,
    "false": 0,
    "no": 0,
    "1": 1,
    "true": 1,
    "yes": 1,
    "2": 2,
}
# CloudFormation's rule; shorter, since table names with the stack's name as suffix must fit too.
_HELPER_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]{1,512}")
# More of them are no help.
_LONGEST_LIST = 20

_T_co = TypeVar("_T_co", covariant=True)


@dataclass(frozen=True)
class Setting(Generic[_T_co]):
    """A value, and where it comes from, in the user's words: ``--region``, ``PLLDB_REGION``, …"""

    value: _T_co
    source: str

    def __str__(self) -> str:
        return f"{self.value} ({self.source})"


# What one source says: option (as ``Options`` names it) → setting.
Source = Mapping[str, Setting[str]]


@dataclass(frozen=True)
class Options:
    """The options of the command line that settings are made of; ``None`` was not given."""

    profile: str | None = None
    target: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    output: str | None = None
    verbose: int | None = None
    environment: str | None = None
    helper_stack: str | None = None
    cloudformation_role: str | None = None

    def as_source(self) -> Source:
        """An empty one counts as not given."""
        given = {name: getattr(self, name) for name in OPTIONS}
        return {
            name: Setting(str(value), name_flag(name))
            for name, value in given.items()
            if value not in (None, "")
        }


OPTIONS = tuple(option.name for option in fields(Options))


@dataclass(frozen=True)
class FileEnvironment:
    """One ``[environments.NAME]`` of plldb.toml; all values are text."""

    options: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class FileOverrides:
    """What one table of plldb.toml says of functions: ``env`` are variables, ``env_file`` names a
    file of more, by an absolute path. ``handler`` is another one than was deployed. ``code`` is
    where the code is, an absolute path; ``layers`` are the function's, as absolute paths or ARNs;
    ``python`` is the interpreter that runs it: an absolute path, or a command.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    env_file: Path | None = None
    handler: str | None = None
    code: Path | None = None
    layers: tuple[str, ...] | None = None
    python: str | None = None


@dataclass(frozen=True)
class FileStack:
    """One ``[stacks.NAME]`` of plldb.toml: what holds for all ``functions``, and for each.

    These go by logical id, path, name or ARN, as they stand there. ``template`` is the stack's, an
    absolute path. ``as_function``: they run under their own roles.
    """

    overrides: FileOverrides
    functions: Mapping[str, FileOverrides]
    template: Path | None = None
    as_function: bool = False

    @property
    def python(self) -> str | None:
        return self.overrides.python


@dataclass(frozen=True)
class FileRecord:
    """``[record]`` of plldb.toml: further secrets, see ``plldb.replay.masks``, and places at which
    a replay may differ, see ``plldb.replay.difference``. ``invocations``: whether those of all
    sessions are written down, for ``plldb invocations``; None if that depends on the session.
    """

    mask: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    invocations: bool | None = None


@dataclass(frozen=True)
class ConfigFile:
    """A plldb.toml that was read and checked; ``found_by`` is ``--config``, ``PLLDB_CONFIG``, …"""

    path: Path
    found_by: str
    environment: str | None
    environments: Mapping[str, FileEnvironment]
    stacks: Mapping[str, FileStack] = field(default_factory=dict)
    record: FileRecord = FileRecord()
    # Options of commands by their names, as they stand there: ``plldb.cli.command_settings``.
    commands: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    # Those of the helper stack and what is in it.
    tags: Mapping[str, str] = field(default_factory=dict)

    def table(self, environment: str) -> str:
        """How messages name the table of an environment."""
        return f"{self.path.name} [environments.{environment}]"


@dataclass(frozen=True)
class EmulatorAddress:
    """One emulator, as seen from here and from the Lambda functions that it runs."""

    endpoint_url: str
    inside_url: str


@dataclass(frozen=True)
class TargetSettings:
    """What ``plldb.aws.Target`` is made from.

    ``region`` is None only where AWS's own configuration (the profile) is to decide. An emulator
    with a ``profile`` is called with the credentials of that, else with the access key here.
    ``service_endpoints`` are AWS's own, such as those of a VPC, by service as ``ProfileEndpoints``
    has them.
    """

    kind: Kind
    region: str | None
    profile: str | None = None
    emulator: EmulatorAddress | None = None
    service_endpoints: Mapping[str, str] = field(default_factory=dict)
    access_key_id: str = EMULATOR_ACCESS_KEY_ID
    secret_access_key: str = field(default=EMULATOR_SECRET_ACCESS_KEY, repr=False)


@dataclass(frozen=True)
class ProfileEndpoints:
    """Where AWS's own configuration sends calls, for those who call with a profile.

    ``emulator`` is the one place for all services. Without it, ``services`` are endpoints of AWS
    itself for single services: ``dynamodb`` → URL, spelled as in a profile's ``services``.
    ``ignored`` are variables that name other endpoints, which nobody is to follow.
    """

    emulator: Setting[str] | None = None
    services: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def _find_no_endpoints(_: str | None) -> ProfileEndpoints:
    return ProfileEndpoints()


@dataclass(frozen=True)
class TargetSelection:
    """Where calls go, as far as it is known without looking for an emulator that runs.

    ``endpoint_url`` is None for AWS and for the emulator that ``plldb local up`` started.
    """

    kind: Setting[Kind]
    profile: Setting[str | None]
    region: Setting[str | None]
    endpoint_url: Setting[str | None]


@dataclass(frozen=True)
class Settings:
    """How plldb talks, and which helper stack it uses; ``verbosity`` is how often -v was given."""

    output: Output
    verbosity: int
    environment: str
    helper_stack: str


class SettingsResolver:
    """All sources of options of one run, in order. Each setting is looked at when it is asked for.

    Raises UsageError for a value that makes no sense, and says where it stands.
    """

    def __init__(
        self, flags: Options, environ: Mapping[str, str], file: ConfigFile | None = None
    ) -> None:
        self.environ = environ
        self.file = file
        self._above_the_file = (
            flags.as_source(),
            _read_our_variables(environ),
            _read_aws_variables(environ),
        )

    @cached_property
    def environment(self) -> Setting[str]:
        file = self.file
        chosen = _find_first(self._above_the_file, "environment")
        if chosen is None and file is not None and file.environment is not None:
            chosen = Setting(file.environment, file.path.name)
        if chosen is None:
            return Setting(DEFAULT_ENVIRONMENT, DEFAULT)
        known = sorted({*BUILT_IN_ENVIRONMENTS, *(file.environments if file else ())})
        if chosen.value not in known:
            raise UsageError(
                f"{chosen.source}: there is no environment {chosen.value!r}.",
                suggest(chosen.value, known),
            )
        return chosen

    @cached_property
    def target(self) -> TargetSelection:
        return _select_target(self._sources)

    @property
    def output(self) -> Setting[Output]:
        found = self._find("output")
        if found is None:
            return Setting("text", DEFAULT)
        for output in OUTPUTS:
            if found.value == output:
                return Setting(output, found.source)
        raise UsageError(
            f"{found.source}: {found.value!r} is no output format.", suggest(found.value, OUTPUTS)
        )

    @property
    def verbosity(self) -> Setting[int]:
        found = self._find("verbose")
        if found is None:
            return Setting(0, DEFAULT)
        verbosity = _VERBOSITIES.get(found.value.lower())
        if verbosity is None:
            raise UsageError(f"{found.source}: {found.value!r} is no verbosity.", "Give 0, 1 or 2.")
        return Setting(verbosity, found.source)

    @property
    def helper_stack(self) -> Setting[str]:
        return self._find("helper_stack") or Setting(DEFAULT_HELPER_STACK, DEFAULT)

    @property
    def cloudformation_role(self) -> Setting[str | None]:
        """The ARN of the role as which CloudFormation deploys the helper stack."""
        found = self._find("cloudformation_role")
        if found is None:
            return Setting(None, DEFAULT)
        return Setting(check_role_arn(found), found.source)

    def resolve(self) -> Settings:
        return Settings(
            output=self.output.value,
            verbosity=self.verbosity.value,
            environment=self.environment.value,
            helper_stack=self.helper_stack.value,
        )

    def resolve_target(
        self,
        find_running: Callable[[], EmulatorAddress | None],
        find_endpoints: Callable[[str | None], ProfileEndpoints] = _find_no_endpoints,
    ) -> TargetSettings:
        """Decides where calls go.

        ``find_running`` gives the address of the emulator that ``plldb local up`` started, or None.
        Nobody looks for it if calls go to AWS. ``find_endpoints`` is asked for those of a profile,
        or of None for the one that AWS's tools use unasked. Raises TargetError if calls have
        nowhere to go, or no single place.
        """
        target = self.target
        if target.kind.value == "aws":
            return self._resolve_aws(target, find_running, find_endpoints)
        environ = self.environ
        return TargetSettings(
            "emulator",
            target.region.value,
            emulator=_locate_emulator(target.endpoint_url.value, environ, find_running()),
            access_key_id=environ.get("PLLDB_EMULATOR_ACCESS_KEY_ID") or EMULATOR_ACCESS_KEY_ID,
            secret_access_key=environ.get("PLLDB_EMULATOR_SECRET_ACCESS_KEY")
            or EMULATOR_SECRET_ACCESS_KEY,
        )

    def _resolve_aws(
        self,
        target: TargetSelection,
        find_running: Callable[[], EmulatorAddress | None],
        find_endpoints: Callable[[str | None], ProfileEndpoints],
    ) -> TargetSettings:
        profile, region = target.profile.value, target.region.value
        endpoints = find_endpoints(profile)
        if endpoints.emulator is None:
            return TargetSettings(
                "aws", region, profile=profile, service_endpoints=endpoints.services
            )
        url, named = endpoints.emulator, self._find("target")
        if profile is None or (named is not None and named.source == target.kind.source):
            raise TargetError(
                f"The target aws was selected ({target.kind.source}), but {url.source} sends all "
                f"calls to {url.value}.",
                "Give --profile with that profile's name and no target for that emulator; another "
                "profile for AWS; or set AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true.",
            )
        emulator = _locate_emulator(check_url(url), self.environ, find_running())
        return TargetSettings("emulator", region, profile=profile, emulator=emulator)

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        # Also without a file: an unknown environment is an error whether or not anything uses it.
        name = self.environment.value
        if self.file is None or name not in self.file.environments:
            return self._above_the_file
        options = self.file.environments[name].options
        of_file = {key: Setting(value, self.file.table(name)) for key, value in options.items()}
        return (*self._above_the_file, of_file)

    def _find(self, option: str) -> Setting[str] | None:
        return _find_first(self._sources, option)


def find_home(environ: Mapping[str, str], default: Path) -> Setting[Path]:
    """The folder of plldb's state. No settings file names it, so that it is known without any."""
    given = environ.get("PLLDB_HOME")
    if not given:
        return Setting(default, DEFAULT)
    return Setting(Path(given).expanduser(), "PLLDB_HOME")


def find_state_folder(environ: Mapping[str, str]) -> Setting[Path]:
    """Where plldb's state lies: in PLLDB_HOME, or in the user's folder for such."""
    import platformdirs

    return find_home(environ, Path(platformdirs.user_state_dir("plldb", appauthor=False)))


def find_layers_folder(environ: Mapping[str, str]) -> Path:
    """Where layers are kept that were fetched: below PLLDB_HOME or in the user's cache folder."""
    import platformdirs

    default = Path(platformdirs.user_cache_dir("plldb", appauthor=False))
    return find_home(environ, default).value / "layers"


def is_helper_stack_name(name: str) -> bool:
    return bool(_HELPER_STACK_NAME.fullmatch(name))


def check_role_arn(setting: Setting[str]) -> str:
    """Gives the ARN back. Raises UsageError if it is that of no role."""
    if not _ROLE_ARN.fullmatch(setting.value):
        raise UsageError(
            f"{setting.source}: {setting.value!r} is no ARN of a role.",
            "It looks like arn:aws:iam::123456789012:role/deploy.",
        )
    return setting.value


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is none of those that are known."""
    from difflib import get_close_matches

    known = list(known)
    likely = get_close_matches(word, known, n=1)
    guess = f"Did you mean {likely[0]!r}? " if likely else ""
    rest = f" and {len(known) - _LONGEST_LIST} more" if len(known) > _LONGEST_LIST else ""
    return f"{guess}It is one of {', '.join(known[:_LONGEST_LIST])}{rest}."


# --- Sources ------------------------------------------------------------------------------------


def _read_our_variables(environ: Mapping[str, str]) -> Source:
    """Each option's ``PLLDB_…`` variable; an empty one counts as not set."""
    return _read_variables(environ, {name_variable(name): name for name in OPTIONS})


def _read_aws_variables(environ: Mapping[str, str]) -> Source:
    """What AWS's own tools read too. Nothing of it can select AWS."""
    names = {
        "AWS_DEFAULT_REGION": "region",
        "AWS_REGION": "region",  # the later one wins
    }
    # https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        names["AWS_ENDPOINT_URL"] = "endpoint_url"
    return _read_variables(environ, names)


def _read_variables(environ: Mapping[str, str], names: Mapping[str, str]) -> Source:
    return {
        option: Setting(environ[variable], variable)
        for variable, option in names.items()
        if environ.get(variable)
    }


def _find_first(sources: Iterable[Source], option: str) -> Setting[str] | None:
    return next((source[option] for source in sources if option in source), None)


# --- The target ---------------------------------------------------------------------------------


def _select_target(sources: tuple[Source, ...]) -> TargetSelection:
    kind = next((kind for source in sources if (kind := select_kind(source))), None)
    kind = kind or Setting("emulator", DEFAULT)
    region = _find_first(sources, "region")
    if kind.value == "aws":
        # `target = aws` says where, not as whom: a profile of a source below it still counts.
        return TargetSelection(
            kind,
            profile=_find_first(sources, "profile") or Setting(None, DEFAULT),
            region=region or Setting(None, "AWS's own configuration"),
            endpoint_url=Setting(None, DEFAULT),
        )
    # And `target = emulator` says of which kind, not where.
    endpoint = _find_first(sources, "endpoint_url")
    return TargetSelection(
        kind,
        profile=Setting(None, DEFAULT),
        region=region or Setting(DEFAULT_EMULATOR_REGION, DEFAULT),
        endpoint_url=Setting(check_url(endpoint), endpoint.source)
        if endpoint
        else Setting(None, DEFAULT),
    )


def select_kind(source: Source) -> Setting[Kind] | None:
    """What one source selects. Raises UsageError if it contradicts itself."""
    target, profile, endpoint = (source.get(o) for o in ("target", "profile", "endpoint_url"))
    if target and target.value not in KINDS:
        raise UsageError(
            f"{target.source}: {target.value!r} is no target.", suggest(target.value, KINDS)
        )
    selects_aws = target if target and target.value == "aws" else profile
    if selects_aws and endpoint:
        raise UsageError(
            f"An endpoint URL ({endpoint.source}) selects an emulator, but AWS was selected as "
            f"well ({selects_aws.source}).",
            "Give either a profile (or the target aws) or an endpoint URL, not both.",
        )
    if profile and target and target.value == "emulator":
        raise UsageError(
            f"A profile ({profile.source}) selects AWS, the target emulator ({target.source}) "
            "does not.",
            "Give one of them.",
        )
    if selects_aws:
        return Setting("aws", selects_aws.source)
    selects_emulator = target or endpoint
    return Setting("emulator", selects_emulator.source) if selects_emulator else None


def _locate_emulator(
    url: str | None, environ: Mapping[str, str], running: EmulatorAddress | None
) -> EmulatorAddress:
    if url is None:
        if running is None:
            raise TargetError(
                "No emulator is running, and no AWS profile is selected.",
                "Run 'plldb local up' for a local emulator, or give --profile NAME for AWS.",
            )
        return running
    if running is not None and running.endpoint_url == url:
        return running
    name = "PLLDB_INSIDE_ENDPOINT_URL"
    inside_url = environ.get(name)
    return EmulatorAddress(url, check_url(Setting(inside_url, name)) if inside_url else url)


def check_url(url: Setting[str]) -> str:
    """The endpoint URL without a slash at its end. Raises UsageError for anything else."""
    from urllib.parse import urlsplit

    hint = "Give it as http://HOST:PORT, as in http://127.0.0.1:4566."
    try:
        parts = urlsplit(url.value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if valid and "@" in parts.netloc:
        # Not shown: it would be a password.
        raise UsageError(f"{url.source}: an endpoint URL takes no user and no password.", hint)
    if not valid or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{url.source}: {url.value!r} is no endpoint URL.", hint)
    return f"{parts.scheme}://{parts.netloc}"

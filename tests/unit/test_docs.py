"""The documentation says what the code does: references, links, commands, tests."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from openapi_spec_validator import validate

from plldb.debugger.children.invoker import Outcome
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.replay.history import History
from tests.unit.bootstrap.test_template import routes
from tools import reference

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# Read where they lie: of examples and of other packages.
READMES = [
    path
    for folder in ("examples/*", "packaging/*", "plldb/emulators/localstack/extension")
    for path in sorted(ROOT.glob(f"{folder}/README.md"))
]
COMMANDS = dict(reference.find_commands())
REQUIREMENTS = ROOT / "docs" / "requirements.md"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


class TestReference:
    @pytest.mark.parametrize("path", reference.make_pages(), ids=name_of)
    def test_it_is_current(self, path: Path) -> None:
        assert path.exists(), "run 'make docs'"
        assert text_of(path) == reference.make_pages()[path], "run 'make docs'"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_command_is_in_it_with_each_of_its_options(self, name: str) -> None:
        page = text_of(reference.REFERENCE / "cli.md")
        _, found, rest = page.partition(f"\n## {name}\n")
        assert found
        section = rest.partition("\n## ")[0]
        of_all = page.partition("\n## plldb\n")[2].partition("\n## ")[0]
        for option in reference.list_option_names(COMMANDS[name]):
            assert f"`{option}`" in section or f"`{option}`" in of_all, option

    def test_the_messages_are_in_it(self) -> None:
        from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
            Action,
            MessageType,
        )

        page = text_of(reference.REFERENCE / "api.md").partition("## WebSocket API")[2]
        for member in (*Action, *MessageType):
            assert f"| `{member}` |" in page


class TestInvocations:
    def test_the_members_of_an_invocation_are_the_documented_ones(self) -> None:
        """And no others: see docs/invocations.md."""
        history = History(["shop"])
        answer = Outcome(None, None, raw="/w==")
        history.take(InvocationFinished("Greeter", "r1", "succeeded", 1, result=answer))
        (entry,) = history.list_all()
        page = text_of(ROOT / "docs" / "invocations.md")
        heads = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
        documented = {name for head in heads for name in re.findall(r"`(\w+)`", head)}
        assert documented | {"answerBase64"} == {*entry.to_document()}


class TestOpenApi:
    DOCUMENT: dict[str, Any] = yaml.safe_load(text_of(reference.OPENAPI))

    def operations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, item in self.DOCUMENT["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield f"{method.upper()} {path}", operation

    def test_it_is_valid(self) -> None:
        validate(self.DOCUMENT)

    def test_it_has_the_operations_of_the_template_and_who_may_call_them(self) -> None:
        kinds = {"AWS_IAM": ("sigv4",)}
        deployed = {route: kinds[kind] for route, (kind, _) in routes().items()}

        described = {
            route: tuple(scheme for given in operation["security"] for scheme in given)
            for route, operation in self.operations()
        }

        assert described == deployed

    def test_operations_have_names_of_their_own(self) -> None:
        names = [operation["operationId"] for _, operation in self.operations()]
        assert len(names) == len(set(names))


_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", text_of(page))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, queue = {README}, [README]
    while queue:
        page = queue.pop()
        for link in _LINK.findall(_FENCE.sub("", text_of(page))):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target in PAGES and target not in reached:
                reached.add(target)
                queue.append(target)
    assert not {*PAGES} - reached


# --- Commands that pages mention -----------------------------------------------------------------

_CODE = re.compile(r"`([^`\n]+)`")
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"^(?:```(?:sh|bash|yaml)\n)(.*?)^```$", re.MULTILINE | re.DOTALL)


def mentioned(text: str) -> Iterator[str]:
    """Each ``plldb …`` command line in code, inline or in a block."""
    for block in _CONSOLE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from _command_lines(line[2:])
    for block in _SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _command_lines(line.strip().removeprefix("- ").removeprefix("run: "))
    for code in _CODE.findall(_FENCE.sub("", text)):
        yield from _command_lines(code)


def _command_lines(line: str) -> Iterator[str]:
    line = re.sub(r"\s#\s.*", "", line)
    for part in re.split(r"&&|\|\s|;", line):
        words = re.sub(r"^(?:\w+=\S*\s+)*", "", part.strip())
        if re.match(r"plldb(\s|$)", words):
            yield words


def resolved(line: str) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the options that it gives. Fails on an unknown name."""
    words = iter(shlex.split(re.sub(r"[\[\]…]", " ", line))[1:])
    command, options = COMMANDS["plldb"], []
    for word in words:
        if word == "--":
            break  # what follows is another tool's
        if word.startswith("-"):
            options.append(re.sub(r"^-(\w)\1+$", r"-\1", word.partition("=")[0]))
            if "=" not in word and takes_a_value(command, word):
                next(words, None)
        elif isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), word)
            assert inner is not None, f"{line!r} names no command"
            command = inner
    return command, options


def takes_a_value(command: click.Command, name: str) -> bool:
    return any(
        name in option.opts and not (option.is_flag or option.count)
        for option in command.params
        if isinstance(option, click.Option)
    )


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=name_of)
def test_pages_name_only_commands_and_options_that_there_are(page: Path) -> None:
    for line in mentioned(text_of(page)):
        command, options = resolved(line)
        known = {name for option in command.params for name in option.opts} | {"--help", "-h"}
        assert not {*options} - known, line


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.count(" ") == 1])
def test_the_readme_names_every_command(name: str) -> None:
    assert f"`{name}" in text_of(README)


def test_the_readme_is_a_short_front_door() -> None:
    assert len(text_of(README).splitlines()) <= 120


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=name_of)
def test_make_targets_that_pages_name_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    text = text_of(page)
    named = set(re.findall(r"`make ([a-z0-9-]+)", text))
    for block in _CONSOLE.findall(text):
        named |= set(re.findall(r"^\$ make ([a-z0-9-]+)", block, re.MULTILINE))
    assert named <= targets


# --- The tour of the code -------------------------------------------------------------------------

TOUR = ROOT / "docs" / "architecture.md"
_FILE = re.compile(r"`([\w/]+\.(?:py|yaml))`")
_NAME_IN_FILE = re.compile(r"`(\w+)` (?:in|of) `([\w/]+\.py)`")


def files_called(name: str) -> list[Path]:
    """The files of the package whose path ends so."""
    found = (ROOT / "plldb").rglob(Path(name).name)
    return [path for path in found if str(path).endswith(f"/{name}")]


def test_the_tour_names_files_that_there_are() -> None:
    named = set(_FILE.findall(text_of(TOUR)))
    assert named
    assert not [name for name in named if not files_called(name)]


def test_what_the_tour_finds_in_a_file_is_there() -> None:
    named = set(_NAME_IN_FILE.findall(" ".join(text_of(TOUR).split())))
    assert named
    assert not [
        (name, file)
        for name, file in named
        if not any(re.search(rf"\b{name}\b", text_of(path)) for path in files_called(file))
    ]


# --- Requirements and the tests that show them ---------------------------------------------------

_TEST = re.compile(r"`((?:tests/)[\w/]+\.py)::(\w+)(?:::(\w+))?`")


def functions_in(path: Path) -> set[tuple[str, str]]:
    """(function, ""), (class, "") and (class, method) of a test file."""
    found = set()
    for node in ast.parse(text_of(path)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add((node.name, ""))
        if isinstance(node, ast.ClassDef):
            found |= {
                (node.name, inner.name)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def named_tests() -> list[tuple[str, str, str]]:
    return sorted(set(_TEST.findall(text_of(REQUIREMENTS))))


@pytest.mark.parametrize("test", named_tests(), ids="::".join)
def test_a_requirement_names_a_test_that_there_is(test: tuple[str, str, str]) -> None:
    path, outer, inner = test
    assert (ROOT / path).exists()
    assert (outer, inner) in functions_in(ROOT / path)


def test_every_row_of_the_requirements_names_a_test_or_a_page() -> None:
    rows = re.findall(r"^\| (?!---)(.+) \|$", text_of(REQUIREMENTS), re.MULTILINE)
    bodies = [row for row in rows if not row.endswith("| shown by")]
    assert len(bodies) > 40
    for row in bodies:
        assert _TEST.search(row) or _LINK.search(row), row

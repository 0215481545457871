"""What the settings file says of a stack's functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource, DescribedLayer
from plldb.debugger.sources.stack_settings import (
    StackSettings,
    find_name,
    find_settings,
    list_functions,
)
from plldb.deployed import DeployedFunction, DeployedStack
from plldb.errors import UsageError
from plldb.settings_file import read

ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:"
STACK = DeployedStack(
    "app",
    {
        "Greeter": DeployedFunction("app-Greeter-X", "app.handler"),
        "Child/Greeter": DeployedFunction("app-Child-Greeter-Y"),
        "Child/Other": DeployedFunction("other"),
    },
)
TEMPLATE = """
Resources:
  Greeter: { Type: AWS::Lambda::Function, Properties: { Code: src, Handler: app.handler } }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("src", "other", "layers/common", "infra/src"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "infra" / "t.yaml").write_text(TEMPLATE)
    return tmp_path


def settings(folder: Path, text: str) -> StackSettings:
    (folder / "plldb.toml").write_text(text)
    found = find_settings(read(folder / "plldb.toml", "--config"), "app")
    assert found is not None
    return found


def choose(folder: Path, text: str, stack: DeployedStack = STACK) -> ChosenSources:
    options = CodeOptions(folder, settings=settings(folder, text))
    return choose_sources(options, "app", stack)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("Greeter", "Greeter"),
        ("Child/Greeter", "Child/Greeter"),
        ("Other", "Child/Other"),
        ("app-Child-Greeter-Y", "Child/Greeter"),
        (f"{ARN}app-Greeter-X", "Greeter"),
        (f"{ARN}other:live", "Child/Other"),
        ("greeter", None),
        (f"{ARN}Greeter", None),
    ],
)
def test_a_function_goes_by_each_of_its_names(function: str, name: str | None) -> None:
    assert find_name(function, STACK) == name


def test_one_that_is_none_is_an_error_with_near_names(project: Path) -> None:
    with pytest.raises(
        UsageError, match=r"plldb\.toml \[stacks\.app\.functions\.Greter\]"
    ) as raised:
        choose(project, "[stacks.app.functions.Greter]\ncode = 'src'")
    assert "Did you mean 'Greeter'?" in str(raised.value.hint)


def test_one_that_is_named_twice_is_an_error(project: Path) -> None:
    text = "[stacks.app.functions.Other]\n[stacks.app.functions.other]"
    with pytest.raises(UsageError, match="Child/Other is named twice"):
        choose(project, text)


def test_the_template_and_what_it_lacks(project: Path) -> None:
    chosen = choose(
        project,
        """
[stacks.app]
template = "infra/t.yaml"
[stacks.app.functions.Other]
code = "other"
layers = ["layers/common", "arn:aws:lambda:eu-west-1:123456789012:layer:x:1"]
""",
    )
    assert chosen.found["Greeter"] == CodeSource(project / "infra" / "src", "app.handler")
    other = chosen.found["Child/Other"]
    assert other.code_dir == project / "other"
    assert other.layers[0] == DescribedLayer(
        str(project / "layers/common"), (project / "layers/common",), layer_name="common"
    )
    assert other.layers[1].name.endswith(":layer:x:1")
    assert chosen.left_out.keys() == {"Child/Greeter"}


def test_a_folder_for_all(project: Path) -> None:
    chosen = choose(
        project, "[stacks.app]\ncode = 'src'\n[stacks.app.functions.Other]\ncode='other'"
    )
    folders = {name: source.code_dir.name for name, source in chosen.found.items()}
    assert folders == {"Greeter": "src", "Child/Greeter": "src", "Child/Other": "other"}


def test_the_command_line_wins(project: Path) -> None:
    text = "[stacks.app]\ncode = 'src'\n[stacks.app.functions.Other]\ncode='src'"
    options = CodeOptions(project, code={"C*": project / "other"}, settings=settings(project, text))
    chosen = choose_sources(options, "app", STACK).found
    folders = {name: source.code_dir.name for name, source in chosen.items()}
    assert folders == {"Greeter": "src", "Child/Greeter": "other", "Child/Other": "other"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stacks.app]\ncode = 'gone'", "[stacks.app]: code: there is no folder"),
        ("[stacks.app.functions.Other]\ncode = 'gone'", "there is no folder"),
        (f"[stacks.app.functions.Other]\ncode = 'gone{'x' * 5000}'", "there is no folder"),
        ("[stacks.app.functions.Other]\ncode = 'src'\nlayers = ['gone']", "there is no folder"),
        (
            "[stacks.app.functions.Other]\ncode = 'src'\nlayers = ['arn:gone']",
            "not the ARN of a layer",
        ),
    ],
)
def test_what_is_not_there_is_named(project: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose(project, text)
    assert said in raised.value.message
    assert "gone" in raised.value.message


class TestLists:
    """Functions that no stack has."""

    def test_they_go_by_their_names(self, project: Path) -> None:
        text = f"[stacks.app.functions.loose-fn]\ncode = 'src'\n[stacks.app.functions.'{ARN}b']"
        found = settings(project, text)
        stack = list_functions(found, "eu-west-1", lambda: ACCOUNT)
        assert stack.members == {"loose-fn": "loose-fn", "b": "b"}
        chosen = choose(project, text, stack)
        assert chosen.found == {"loose-fn": CodeSource(project / "src")}
        assert chosen.left_out == {"b": "no code is named for it"}

    def test_templates_that_lie_there_are_another_matter(self, project: Path) -> None:
        (project / "template.yaml").write_text(TEMPLATE)
        text = "[stacks.app.functions.Greeter]\ncode = 'other'"
        stack = list_functions(settings(project, text), "eu-west-1", lambda: ACCOUNT)
        assert choose(project, text, stack).found == {"Greeter": CodeSource(project / "other")}

    @pytest.mark.parametrize(
        ("region", "account"), [("us-east-1", ACCOUNT), ("eu-west-1", "2" * 12)]
    )
    def test_those_of_another_region_or_account_are_refused(
        self, project: Path, region: str, account: str
    ) -> None:
        found = settings(project, f"[stacks.app.functions.'{ARN}b']\ncode = 'src'")
        with pytest.raises(UsageError, match="it is of eu-west-1"):
            list_functions(found, region, lambda: account)

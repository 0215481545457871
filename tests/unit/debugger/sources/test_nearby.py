"""Where a folder has no project of the stack: what is below it, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.nearby import suggest_project
from plldb.deployed import DeployedFunction, DeployedStack
from plldb.errors import SourceError

TEMPLATE = """
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src, Handler: app.handler, Runtime: python3.12}
"""
STACK = DeployedStack(
    "orders", {"Greeter": DeployedFunction("x")}, {"Greeter": "AWS::Lambda::Function"}
)


def put_project(
    folder: Path, stack_name: str | None = None, template: str = "template.yaml"
) -> None:
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / template).write_text(TEMPLATE, encoding="utf-8")
    if stack_name is not None:
        text = f'[default.deploy.parameters]\nstack_name = "{stack_name}"\n'
        (folder / "samconfig.toml").write_text(text, encoding="utf-8")


class TestAProjectBelow:
    def test_serves_the_stack_that_it_names(self, tmp_path: Path) -> None:
        put_project(tmp_path / "services" / "orders", "orders")
        put_project(tmp_path / "services" / "billing", "billing")
        for deployed in (None, STACK):
            found = choose_sources(CodeOptions(tmp_path), "orders", deployed).found
            assert found["Greeter"].code_dir == tmp_path / "services" / "orders" / "src"

    def test_does_so_where_the_one_here_names_others(self, tmp_path: Path) -> None:
        put_project(tmp_path, "shop")
        put_project(tmp_path / "orders", "orders")
        found = choose_sources(CodeOptions(tmp_path), "orders", STACK).found
        assert found["Greeter"].code_dir == tmp_path / "orders" / "src"

    def test_gives_way_to_a_template_here(self, tmp_path: Path) -> None:
        put_project(tmp_path)
        put_project(tmp_path / "example", "orders")
        found = choose_sources(CodeOptions(tmp_path), "orders", STACK).found
        assert found["Greeter"].code_dir == tmp_path / "src"

    def test_is_not_guessed_among_several(self, tmp_path: Path) -> None:
        put_project(tmp_path / "a", "orders")
        put_project(tmp_path / "b", "orders")
        with pytest.raises(SourceError, match="'orders': a, b") as raised:
            choose_sources(CodeOptions(tmp_path), "orders", STACK)
        assert "--template" in str(raised.value.hint)

    def test_is_never_one_that_names_no_stack(self, tmp_path: Path) -> None:
        put_project(tmp_path / "a")
        assert choose_sources(CodeOptions(tmp_path), "orders", STACK).found == {}

    def test_may_be_broken_and_not_meant(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "samconfig.toml").write_text("[", encoding="utf-8")
        put_project(tmp_path / "b", "orders")
        assert choose_sources(CodeOptions(tmp_path), "orders", STACK).found.keys() == {"Greeter"}


class TestWhatIsSuggested:
    @pytest.mark.parametrize("path", ["infra/template.yaml", "stack.yaml", "a b/my.template"])
    def test_templates_under_other_names_and_below(self, tmp_path: Path, path: str) -> None:
        put_project((tmp_path / path).parent, template=Path(path).name)
        hint = suggest_project(tmp_path)
        assert f"--template {path}" in hint.replace("'", "")
        chosen = choose_sources(CodeOptions(tmp_path), "orders", STACK)
        with pytest.raises(SourceError) as raised:
            chosen.require_code(STACK)
        assert raised.value.hint == hint

    @pytest.mark.parametrize("stray", ["Parameters: {}", "Resources: {T: {Type: AWS::S3::Bucket}}"])
    def test_the_tool_of_a_project_though_a_template_lies_there(
        self, tmp_path: Path, stray: str
    ) -> None:
        """One without functions is none of the stack's, whose own was not made yet."""
        (tmp_path / "cdk.json").touch()
        (tmp_path / "template.yaml").write_text(stray, encoding="utf-8")
        chosen = choose_sources(CodeOptions(tmp_path), "orders", STACK)
        with pytest.raises(SourceError) as raised:
            chosen.require_code(STACK)
        assert raised.value.hint == "There is cdk.json: run 'cdk synth' first."
        assert "template.yaml" not in raised.value.message

    def test_not_where_the_template_has_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "cdk.json").touch()
        (tmp_path / "template.yaml").write_text("Resources: {F: {Type: AWS::Lambda::Function]}")
        with pytest.raises(SourceError, match="is not YAML"):
            choose_sources(CodeOptions(tmp_path), "orders", STACK).require_code(STACK)

    def test_not_where_the_template_has_functions(self, tmp_path: Path) -> None:
        (tmp_path / "cdk.json").touch()
        put_project(tmp_path)
        assert choose_sources(CodeOptions(tmp_path), "orders", STACK).found

    def test_not_those_that_tools_made_nor_other_files(self, tmp_path: Path) -> None:
        put_project(tmp_path / ".aws-sam" / "build")
        put_project(tmp_path / "node_modules" / "other")
        (tmp_path / "docker-compose.yml").write_text("services: {}", encoding="utf-8")
        assert suggest_project(tmp_path).startswith("Name the template")

    def test_no_more_than_a_few(self, tmp_path: Path) -> None:
        for number in range(5):
            put_project(tmp_path / f"service-{number}")
        assert "(there are 2 more)" in suggest_project(tmp_path)

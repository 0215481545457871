"""The stacks that SAM's configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource
from plldb.debugger.sources.sam import find_projects
from plldb.errors import SourceError

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: CODE, Handler: app.handler, Runtime: python3.13 }
"""
CONFIGURATION = """
version = 0.1
[default.global.parameters]
stack_name = "app-dev"
[default.build.parameters]
cached = true
[staging.deploy.parameters]
stack_name = "app-staging"
template_file = ".aws-sam/build/template.yaml"
[prod.global.parameters]
stack_name = "overruled"
[prod.build.parameters]
template-file = "prod.yml"
[prod.deploy.parameters]
stack_name = "app-prod"
template_file = "packaged.yaml"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("dev", "prod", ".aws-sam/build"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("CODE", "dev"))
    (tmp_path / "prod.yml").write_text(TEMPLATE.replace("CODE", "prod"))
    for name in ("packaged.yaml", ".aws-sam/build/template.yaml"):
        (tmp_path / name).write_text(TEMPLATE.replace("CODE", "s3://bucket/key"))
    (tmp_path / "samconfig.toml").write_text(CONFIGURATION)
    return tmp_path


def find_code(folder: Path, stack: str) -> Path:
    return choose_sources(CodeOptions(folder), stack).found["Greeter"].code_dir


@pytest.mark.parametrize(
    ("stack", "code"), [("app-dev", "dev"), ("app-staging", "dev"), ("app-prod", "prod")]
)
def test_each_environment_has_its_stack_and_its_template(
    project: Path, stack: str, code: str
) -> None:
    assert find_code(project, stack) == project / code


def test_a_stack_that_it_does_not_name_has_none_of_its_templates(project: Path) -> None:
    with pytest.raises(SourceError, match=r"samconfig\.toml has no stack 'app-pod'") as raised:
        choose_sources(CodeOptions(project), "app-pod")
    assert "Did you mean 'app-prod'?" in str(raised.value.hint)
    assert "--template" in str(raised.value.hint)


def test_unless_the_template_is_named(project: Path) -> None:
    options = CodeOptions(project, template=Path("prod.yml"))
    assert choose_sources(options, "mine").found["Greeter"].code_dir == project / "prod"


@pytest.mark.parametrize("text", ["", "version = 0.1", "[default.deploy.parameters]\nx = 1"])
def test_without_names_it_is_a_template_like_any_other(project: Path, text: str) -> None:
    (project / "samconfig.toml").write_text(text)
    assert find_projects(project) == []
    assert find_code(project, "whatever") == project / "dev"


def test_a_template_that_it_names_and_that_is_gone_is_an_error(project: Path) -> None:
    (project / "prod.yml").unlink()
    with pytest.raises(SourceError, match=r"There is no template .*prod\.yml"):
        choose_sources(CodeOptions(project), "app-prod")
    assert find_code(project, "app-dev") == project / "dev"


def test_yaml(project: Path) -> None:
    (project / "samconfig.toml").unlink()
    text = "{default: {deploy: {parameters: {stack_name: app, template_file: prod.yml}}}}"
    (project / "samconfig.yaml").write_text(text)
    assert find_code(project, "app") == project / "prod"


@pytest.mark.parametrize("stack", ["app-dev", "app-prod"])
def test_what_is_packaged_from_a_template_is_none_to_edit(project: Path, stack: str) -> None:
    (project / "out.yaml").write_text(TEMPLATE.replace("CODE", "s3://bucket/key"))
    (project / "samconfig.toml").write_text("""
[default.package.parameters]
output_template_file = "out.yaml"
[default.deploy.parameters]
stack_name = "app-dev"
template_file = "out.yaml"
[prod.deploy.parameters]
stack_name = "app-prod"
template_file = "./out.yaml"
""")
    assert find_code(project, stack) == project / "dev"


def test_but_that_which_it_is_packaged_from_is(project: Path) -> None:
    (project / "samconfig.toml").write_text("""
[default.package.parameters]
template_file = "prod.yml"
output_template_file = "out.yaml"
[default.deploy.parameters]
stack_name = "app-dev"
template_file = "out.yaml"
""")
    assert find_code(project, "app-dev") == project / "prod"


def test_folders_that_the_build_is_told(project: Path) -> None:
    (project / "infra").mkdir()
    (project / "infra" / "t.yaml").write_text(TEMPLATE.replace("CODE", "dev"))
    built = project / "out" / "Greeter"
    built.mkdir(parents=True)
    (project / "samconfig.toml").write_text("""
[default.global.parameters]
stack_name = "app"
template_file = "infra/t.yaml"
base_dir = "."
build_dir = "out"
""")
    source = choose_sources(CodeOptions(project), "app").found["Greeter"]
    assert source == CodeSource(project / "dev", "app.handler", "python3.13", build_dir=built)


class TestAnEnvironmentThatDeploysWhatDefaultBuilds:
    @pytest.fixture
    def configuration(self, tmp_path: Path) -> Path:
        for name in ("src", "infra", "out/Greeter", "legacy"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "infra" / "template.yaml").write_text(TEMPLATE.replace("CODE", "src"))
        (tmp_path / "samconfig.toml").write_text("""
[default.build.parameters]
template_file = "infra/template.yaml"
base_dir = "."
build_dir = "out"
[default.deploy.parameters]
stack_name = "app-dev"
[prod.deploy.parameters]
stack_name = "app-prod"
""")
        return tmp_path / "samconfig.toml"

    @pytest.mark.parametrize("stack", ["app-dev", "app-prod"])
    def test_has_its_template_and_folders(self, configuration: Path, stack: str) -> None:
        folder = configuration.parent
        # The template of another app, which has the same functions.
        (folder / "template.yaml").write_text(TEMPLATE.replace("CODE", "legacy"))
        source = choose_sources(CodeOptions(folder), stack).found["Greeter"]
        assert (source.code_dir, source.build_dir) == (folder / "src", folder / "out" / "Greeter")

    def test_has_its_folders_where_it_names_the_same_template(self, configuration: Path) -> None:
        with configuration.open("a") as file:
            file.write('template_file = "infra/template.yaml"\n')
        folder = configuration.parent
        assert find_code(folder, "app-prod") == folder / "src"

    def test_but_not_for_another_template(self, configuration: Path) -> None:
        with configuration.open("a") as file:
            file.write('template_file = "infra/prod.yaml"\n')
        folder = configuration.parent
        (folder / "infra" / "prod.yaml").write_text(TEMPLATE.replace("CODE", "../legacy"))
        assert find_code(folder, "app-prod") == folder / "legacy"

    def test_nor_if_it_is_built_itself(self, configuration: Path) -> None:
        with configuration.open("a") as file:
            file.write("[prod.build.parameters]\ncached = true\n")
        folder = configuration.parent
        (folder / "template.yaml").write_text(TEMPLATE.replace("CODE", "legacy"))
        assert find_code(folder, "app-prod") == folder / "legacy"


class TestAnotherConfigurationBesideIt:
    PROD = '[default.deploy.parameters]\nstack_name = "app-other"\n'

    @pytest.mark.parametrize("name", ["samconfig-other.toml", "samconfig.other.toml"])
    def test_names_stacks_of_the_same_template(self, project: Path, name: str) -> None:
        (project / name).write_text(self.PROD)
        assert find_code(project, "app-other") == project / "dev"
        assert find_code(project, "app-dev") == project / "dev"

    def test_and_of_its_own(self, project: Path) -> None:
        text = f'{self.PROD}template_file = "prod.yml"\n'
        (project / "samconfig-other.toml").write_text(text)
        assert find_code(project, "app-other") == project / "prod"
        (project / "samconfig-other.toml").unlink()
        text = "{default: {deploy: {parameters: {stack_name: app-other, template_file: prod.yml}}}}"
        (project / "samconfig-other.yaml").write_text(text)
        assert find_code(project, "app-other") == project / "prod"

    def test_has_what_the_first_one_builds(self, project: Path) -> None:
        (project / "samconfig.toml").write_text(
            '[default.build.parameters]\ntemplate_file = "prod.yml"\n'
            '[default.deploy.parameters]\nstack_name = "app-dev"\n'
        )
        (project / "samconfig-other.toml").write_text(self.PROD)
        assert find_code(project, "app-other") == project / "prod"

    @pytest.mark.parametrize("first", [None, "version = 0.1\n"])
    def test_names_nothing_where_the_first_one_does_not(
        self, project: Path, first: str | None
    ) -> None:
        """A stack that is deployed under a name of the moment has the template, too."""
        (project / "samconfig.toml").unlink()
        if first is not None:
            (project / "samconfig.toml").write_text(first)
        (project / "samconfig-other.toml").write_text(self.PROD)
        assert find_code(project, "app-other") == project / "dev"
        assert find_code(project, "whatever") == project / "dev"

    def test_unless_only_that_knows_the_template(self, project: Path) -> None:
        for name in ("samconfig.toml", "template.yaml"):
            (project / name).unlink()
        text = f'{self.PROD}template_file = "prod.yml"\n'
        (project / "samconfig-other.toml").write_text(text)
        assert find_code(project, "app-other") == project / "prod"

    def test_harms_nothing_if_it_is_none(self, project: Path) -> None:
        (project / "samconfig-example.toml").write_text("stack_name = {{ name }}")
        assert find_code(project, "app-dev") == project / "dev"


class TestATemplateThatIsNamed:
    @pytest.fixture
    def template(self, tmp_path: Path) -> Path:
        for name in ("infra", "src", "other", "out/Greeter", ".aws-sam/build/Greeter"):
            (tmp_path / name).mkdir(parents=True)
        path = tmp_path / "infra" / "template.yaml"
        path.write_text(TEMPLATE.replace("CODE", "src"))
        return path

    def find(self, template: Path, stack: str = "any") -> CodeSource:
        folder = template.parents[1]
        options = CodeOptions(folder, template=template.relative_to(folder))
        return choose_sources(options, stack).found["Greeter"]

    @pytest.mark.parametrize("stack", ["app", "another"])
    def test_is_built_as_the_configuration_says(self, template: Path, stack: str) -> None:
        folder = template.parents[1]
        (folder / "samconfig.toml").write_text("""
[default.build.parameters]
template_file = "infra/template.yaml"
base_dir = "."
build_dir = "out"
[default.deploy.parameters]
stack_name = "app"
""")
        source = self.find(template, stack)
        assert (source.code_dir, source.build_dir) == (folder / "src", folder / "out" / "Greeter")

    def test_as_that_says_for_the_stack(self, template: Path) -> None:
        folder = template.parents[1]
        for name, base in (("dev", "other"), ("prod", "other/..")):
            (folder / base / "src").mkdir(exist_ok=True)
            with (folder / "samconfig.toml").open("a") as file:
                file.write(f"""
[{name}.global.parameters]
stack_name = "app-{name}"
template_file = "infra/template.yaml"
base_dir = "{base}"
""")
        assert self.find(template, "app-dev").code_dir == folder / "other" / "src"
        assert self.find(template, "app-prod").code_dir == folder / "src"

    @pytest.mark.parametrize("configuration", ["", "no TOML"])
    def test_was_built_in_the_folder(self, template: Path, configuration: str) -> None:
        folder = template.parents[1]
        template.write_text(TEMPLATE.replace("CODE", "../src"))
        (folder / "samconfig.toml").write_text(configuration)
        source = self.find(template)
        assert source.code_dir == folder / "src"
        assert source.build_dir == folder / ".aws-sam" / "build" / "Greeter"

    def test_else_beside_it(self, template: Path) -> None:
        built = template.parent / ".aws-sam" / "build" / "Greeter"
        built.mkdir(parents=True)
        template.write_text(TEMPLATE.replace("CODE", "../src"))
        assert self.find(template).build_dir == built


@pytest.mark.parametrize("text", ["[", "a = ", "\x00", "x = " + "[" * 5000, "é".encode("latin-1")])
def test_one_that_can_not_be_read_is_named(project: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (project / "samconfig.toml").write_bytes(data)
    with pytest.raises(SourceError, match=r"samconfig\.toml is no valid TOML"):
        find_projects(project)


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.just("app") | st.just("template.yaml"),
    lambda inner: st.dictionaries(
        st.sampled_from(["default", "deploy", "global", "parameters", "stack_name"]), inner
    ),
    max_leaves=6,
)


@given(_VALUES)
def test_whatever_stands_there_harms_nothing(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    import json

    folder = tmp_path_factory.mktemp("sam")
    (folder / "samconfig.yaml").write_text(json.dumps(value))
    find_projects(folder)


def test_a_template_elsewhere_without_a_name_of_its_stack(project: Path) -> None:
    (project / "infra").mkdir()
    (project / "template.yaml").rename(project / "infra" / "template.yaml")
    (project / "infra" / "CODE").mkdir()
    text = '[default.build.parameters]\ntemplate_file = "infra/template.yaml"\n'
    (project / "samconfig.toml").write_text(text, encoding="utf-8")
    (one,) = find_projects(project)
    assert (one.file, one.stack_names) == (project / "infra" / "template.yaml", frozenset())
    assert one.read_resources is not None
    assert one.read_resources({}) == {"Greeter": "AWS::Serverless::Function"}


class TestATemplateThatSamBuildWrote:
    @pytest.fixture
    def built(self, tmp_path: Path) -> Path:
        """It says that the code is beside it."""
        build = tmp_path / ".aws-sam" / "build"
        (build / "Greeter").mkdir(parents=True)
        (tmp_path / "src").mkdir()
        template = "Resources: {{Greeter: {{Type: 'AWS::Serverless::Function', Properties: {0}}}}}"
        for file, code in (
            (tmp_path / "template.yaml", "src"),
            (build / "template.yaml", "Greeter"),
        ):
            text = template.format(f"{{CodeUri: {code}, Handler: app.handler}}")
            file.write_text(text, encoding="utf-8")
        return build / "template.yaml"

    def find(self, options: CodeOptions) -> CodeSource:
        return choose_sources(options, "any").found["Greeter"]

    def test_is_that_which_it_was_made_from(self, built: Path, tmp_path: Path) -> None:
        found = self.find(CodeOptions(tmp_path, template=built))
        assert found.code_dir == tmp_path / "src"
        assert found.build_dir == built.parent / "Greeter"
        assert self.find(CodeOptions(built.parent)) == found

    def test_also_where_only_the_configuration_knows_that(
        self, built: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "template.yaml").rename(tmp_path / "app.yaml")
        text = '[default.global.parameters]\nstack_name = "x"\ntemplate_file = "app.yaml"\n'
        (tmp_path / "samconfig.toml").write_text(text, encoding="utf-8")
        found = self.find(CodeOptions(tmp_path, template=built))
        assert found.code_dir == tmp_path / "src"

    def test_else_it_is_said_that_copies_run(self, built: Path, tmp_path: Path) -> None:
        (tmp_path / "template.yaml").unlink()
        found = self.find(CodeOptions(tmp_path, template=built))
        assert found.code_dir == built.parent / "Greeter"
        assert "copy that sam build has made" in found.note

"""What a developer sets of functions: which of it wins, and what can't be set."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.overrides import OverrideOptions, Overrides, collect_overrides
from plldb.debugger.reserved_variables import RESERVED
from plldb.debugger.sources.stack_settings import find_settings
from plldb.errors import UsageError
from plldb.settings_file import read

GREETER = LocalFunction(
    "Greeter", Path("/code"), "app.handler", "stack-Greeter-1", {"TABLE": "deployed", "OWN": "1"}
)


class Scene:
    """A project's folder, and what its developer says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = ["Greeter", "Orders"]
        self.environ = {"HERE": "here"}

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return Path(name)

    def collect(
        self, *env: str, files: tuple[str, ...] = (), handlers: tuple[str, ...] = ()
    ) -> Overrides:
        toml = self.folder / "plldb.toml"
        options = OverrideOptions(env, tuple(map(Path, files)), handlers)
        file = read(toml, "--config") if toml.exists() else None
        settings = find_settings(file, "shop")
        return collect_overrides(options, settings, self.folder, self.environ, self.known)

    def variables(self, *env: str, function: str = "Greeter", files: tuple[str, ...] = ()) -> str:
        """What the function has, without what it had before: ``NAME=VALUE`` and blanks."""
        one = LocalFunction(function, Path("/code"), "app.handler", "f", {})
        variables = self.collect(*env, files=files).apply(one).variables
        return " ".join(f"{name}={variables[name]}" for name in sorted(variables))

    def refused(self, *env: str, **more: tuple[str, ...]) -> str:
        with pytest.raises(UsageError) as raised:
            self.collect(*env, **more)
        assert raised.value.hint
        return f"{raised.value.message} {raised.value.hint}"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


class TestVariables:
    def test_win_over_the_functions_own(self, scene: Scene) -> None:
        made = scene.collect("TABLE=mine", "EMPTY=", "URL=a=b:c").apply(GREETER)
        assert made.variables == {"TABLE": "mine", "OWN": "1", "EMPTY": "", "URL": "a=b:c"}
        assert Overrides().apply(GREETER) == GREETER

    def test_of_one_function(self, scene: Scene) -> None:
        given_env = ("Greeter:A=1", "A=2", "Orders:B=3", "Greeter:URL=http://x")
        assert scene.variables(*given_env) == "A=1 URL=http://x"
        assert scene.variables(*given_env, function="Orders") == "A=2 B=3"

    def test_of_this_machine(self, scene: Scene) -> None:
        assert scene.variables("HERE", "Greeter:HERE") == "HERE=here"
        assert "no variable GONE here" in scene.refused("GONE")

    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def test_any_value(self, text: str) -> None:
        options = OverrideOptions(env=(f"A={text}",))
        made = collect_overrides(options, None, Path(), {}, [])
        assert made.apply(GREETER).variables["A"] == text


class TestPrecedence:
    """Each source is stronger than those before it."""

    SOURCES = ("stack file", "stack", "function file", "function", "file", "option", "one")

    @pytest.mark.parametrize("strongest", range(len(SOURCES)))
    def test_the_strongest_that_says_something_wins(self, scene: Scene, strongest: int) -> None:
        said = self.SOURCES[: strongest + 1]
        scene.write("stack.env", "A='stack file'" if "stack file" in said else "")
        scene.write("function.env", "A='function file'" if "function file" in said else "")
        scene.write("option.env", "A=file" if "file" in said else "")
        scene.write(
            "plldb.toml",
            f"""
            [stacks.shop]
            env-file = "stack.env"
            env = {{ {"A = 'stack'" if "stack" in said else ""} }}
            [stacks.shop.functions.Greeter]
            env-file = "function.env"
            env = {{ {"A = 'function'" if "function" in said else ""} }}
            [stacks.other]
            env = {{ A = "other" }}
            """,
        )
        env = [
            *(["Greeter:A=one"] if "one" in said else []),
            *(["A=option"] if "option" in said else []),
        ]
        found = scene.variables(*env, files=("option.env",))
        assert found == f"A={self.SOURCES[strongest]}"

    def test_a_later_file_wins(self, scene: Scene) -> None:
        scene.write("a.env", "A=1\nB=1")
        scene.write("b.env", "A=2")
        assert scene.variables(files=("a.env", "b.env")) == "A=2 B=1"


class TestPlldbToml:
    def test_values_become_text_and_files_lie_beside_it(self, scene: Scene) -> None:
        scene.write(".env", "C=3")
        scene.write(
            "plldb.toml",
            """
            [stacks.shop]
            env-file = ".env"
            [stacks.shop.functions.Greeter.env]
            A = 1
            B = true
            """,
        )
        assert scene.variables() == "A=1 B=true C=3"

    def test_a_handler(self, scene: Scene) -> None:
        scene.write("plldb.toml", '[stacks.shop.functions.Greeter]\nhandler = "other.run"')
        assert scene.collect().apply(GREETER).handler == "other.run"
        made = scene.collect(handlers=("Greeter=third.run",)).apply(GREETER)
        assert made.handler == "third.run"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("functions.Greter.env = {A = 1}", "functions.Greter]: the stack has no function"),
            ("env = {AWS_PROFILE = 'me'}", "[stacks.shop]: env: 'AWS_PROFILE' can't be set"),
            ("functions.Greeter.handler = 'app'", "handler: 'app' is no handler"),
            ("env-file = 'gone.env'", "there is no file"),
            ("functions.Greeter.env-file = 'two.json'", "names functions itself"),
        ],
    )
    def test_what_makes_no_sense(self, scene: Scene, text: str, said: str) -> None:
        scene.write("two.json", '{"Greeter": {}}')
        scene.write("plldb.toml", f"[stacks.shop]\n{text}")
        assert said in scene.refused()


class TestHandlers:
    def test_the_chosen_one_of_that_function(self, scene: Scene) -> None:
        made = scene.collect(handlers=("Greeter=src/other.run",))
        assert made.apply(GREETER).handler == "src/other.run"
        other = LocalFunction("Orders", Path("/code"), "app.handler", "f")
        assert made.apply(other).handler == "app.handler"

    def test_the_wrapped_one_unless_another_was_chosen(self, scene: Scene) -> None:
        wrapper = "datadog_lambda.handler.handler"
        function = LocalFunction(
            "Greeter", Path("/code"), wrapper, "f", {"DD_LAMBDA_HANDLER": "app.handler"}
        )
        assert scene.collect().apply(function).handler == "app.handler"
        assert scene.collect("DD_LAMBDA_HANDLER=my.own").apply(function).handler == "my.own"
        assert scene.collect(handlers=(f"Greeter={wrapper}",)).apply(function).handler == wrapper

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("Greeter", "is not FUNCTION=HANDLER"),
            ("=app.handler", "is not FUNCTION=HANDLER"),
            ("Greter=app.handler", "Did you mean 'Greeter'?"),
            *(
                (f"Greeter={handler}", "is no handler")
                for handler in ("", "app", "app.", ".handler", "a b.c", "app.handler/x", "a..b")
            ),
        ],
    )
    def test_what_makes_no_sense(self, scene: Scene, text: str, said: str) -> None:
        assert said in scene.refused(handlers=(text,))

    def test_twice(self, scene: Scene) -> None:
        assert "twice" in scene.refused(handlers=("Greeter=a.b", "Greeter=a.c"))


class TestRefused:
    @pytest.mark.parametrize("name", sorted([*RESERVED, "AWS_ENDPOINT_URL", "PLLDB_TOKEN"]))
    def test_what_is_lambdas_or_plldbs(self, scene: Scene, name: str) -> None:
        text = scene.refused(f"{name}=secret")
        assert f"--env {name}: {name!r} can't be set: " in text
        assert "secret" not in text

    @pytest.mark.parametrize("name", ["1A", "A-B", "A B", "é"])
    def test_what_is_no_name(self, scene: Scene, name: str) -> None:
        assert "a name is made of" in scene.refused(f"{name}=1")

    @pytest.mark.parametrize("text", ["", "=1", ":A=1", "Greeter:=1"])
    def test_what_names_nothing(self, scene: Scene, text: str) -> None:
        assert "is not NAME=VALUE" in scene.refused(text)

    def test_a_value_that_the_system_does_not_take(self, scene: Scene) -> None:
        assert "no variable can have" in scene.refused("A=secret\0")

    def test_a_function_that_is_not_there(self, scene: Scene) -> None:
        assert "no function 'Oders'. Did you mean 'Orders'?" in scene.refused("Oders:A=1")
        scene.known = []
        assert "No code of this stack's functions was found" in scene.refused("Oders:A=1")

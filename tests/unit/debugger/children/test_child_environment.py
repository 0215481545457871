"""What the environment of the user's code is: Lambda's, on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.child_environment import make_child_environment
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import LocalFunction
from tests.unit.debugger.local_code import CONTEXT, HERE, Project, invoke, processes_in, value

FUNCTION = LocalFunction(
    logical_id="Greeter",
    code_dir=Path("/code"),
    handler="app.handler",
    function_name="stack-Greeter-1",
    variables={"TABLE": "t", "TZ": "Europe/Paris", "PLLDB_TOKEN": "x", "AWS_REGION": "no"},
    memory_size=512,
    region="eu-west-1",
    runtime="python3.13",
)

OF_CREDENTIALS = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "BOTO_CONFIG",
]


def environment(
    variables: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
    credentials: dict[str, str] | None = None,
    **changes: Any,
) -> dict[str, str]:
    function = replace(FUNCTION, variables=variables or {}, **changes)
    return make_child_environment(function, environ or {}, credentials or {})


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    assert processes_in(tmp_path) == []


def test_a_function_may_say_where_lambdas_python_is(project: Project) -> None:
    project.write("import os\ndef handler(event, context): return os.environ.get('PYTHONHOME')")
    variables = {"PYTHONHOME": "/var/lang", "PYTHONPLATLIBDIR": "lib64"}
    assert value(project.invoke(variables=variables)) is None


class TestAllOfIt:
    def test_what_a_function_finds(self) -> None:
        environ = {
            "PATH": "/bin",
            "HOME": "/home/me",
            "TERM": "xterm",
            "PLLDB_PROFILE": "me",
            "AWS_SECRET_ACCESS_KEY": "mine",
            "VIRTUAL_ENV": "/x",
            "PYTHONPATH": "/y",
        }
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_ENDPOINT_URL": "http://localhost:1"}
        assert make_child_environment(FUNCTION, environ, credentials) == {
            "PATH": "/bin",
            "HOME": "/home/me",
            "TERM": "xterm",
            "LANG": "en_US.UTF-8",
            "TZ": "Europe/Paris",
            "TABLE": "t",
            "_HANDLER": "app.handler",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": "stack-Greeter-1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "Text",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/stack-Greeter-1",
            "AWS_LAMBDA_LOG_STREAM_NAME": "plldb/[$LATEST]",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LAMBDA_TASK_ROOT": "/code",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "BOTO_CONFIG": "/dev/null",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_ENDPOINT_URL": "http://localhost:1",
        }

    @given(st.dictionaries(st.sampled_from(OF_CREDENTIALS), st.text("abc", min_size=1)))
    def test_no_other_identity_leaks_in(self, variables: dict[str, str]) -> None:
        """Neither by the developer's own variables nor by the function's."""
        served = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials"}
        bare = environment(credentials=served)
        assert environment(environ=variables, credentials=served) == bare
        assert environment(variables, credentials=served) == bare

    def test_the_child_has_that_and_a_trace_id(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLLDB_SECRET", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        project.write("import os\ndef handler(event, context): return dict(os.environ)")
        seen = value(project.invoke(variables={"MINE": "é"}))
        assert seen.pop("_X_AMZN_TRACE_ID")
        expected = make_child_environment(
            project.function(variables={"MINE": "é"}), os.environ, {}, HERE.path
        )
        assert seen == expected
        assert seen["TZ"] == ":UTC"
        assert seen["MINE"] == "é"

    @pytest.mark.parametrize(
        "name",
        ["_HANDLER", "AWS_LAMBDA_RUNTIME_API", "AWS_SESSION_TOKEN", "AWS_PROFILE", "PLLDB_X"],
    )
    def test_what_lambda_reserves_a_function_does_not_set(self, name: str) -> None:
        assert environment({name: "own"}).get(name) != "own"

    @pytest.mark.parametrize("name", ["LANG", "TZ", "AWS_LAMBDA_LOG_LEVEL", "HOME"])
    def test_what_it_does_not_reserve_a_function_sets(self, name: str) -> None:
        assert environment({name: "own"}, {name: "here"})[name] == "own"

    @pytest.mark.parametrize(
        ("environ", "encoding"),
        [
            ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
            ({"LANG": "C", "LC_ALL": "C.utf8"}, "C.utf8"),
            ({"LANG": "en_US.UTF-8", "LC_CTYPE": "UTF-8"}, "UTF-8"),
            ({"LANG": "C"}, None),
            ({"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, None),
        ],
    )
    def test_the_locale_is_lambdas_and_the_encoding_is_the_terminals(
        self, environ: dict[str, str], encoding: str | None
    ) -> None:
        made = environment(environ=environ)
        assert made["LANG"] == "en_US.UTF-8"
        assert made.get("LC_CTYPE") == encoding
        assert "LC_ALL" not in made


class TestLogging:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html"""

    @pytest.mark.parametrize(
        ("config", "log_format", "level"),
        [
            ({}, "Text", None),
            ({"LogFormat": "Text", "LogGroup": "/g"}, "Text", None),
            ({"LogFormat": "JSON"}, "JSON", "INFO"),
            ({"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"}, "JSON", "DEBUG"),
        ],
    )
    def test_format_and_level(
        self, config: dict[str, str], log_format: str, level: str | None
    ) -> None:
        made = environment(logging=config)
        assert made["AWS_LAMBDA_LOG_FORMAT"] == log_format
        assert made.get("AWS_LAMBDA_LOG_LEVEL") == level

    def test_a_group_of_its_own(self) -> None:
        made = environment(logging={"LogFormat": "Text", "LogGroup": "/team/app"})
        assert made["AWS_LAMBDA_LOG_GROUP_NAME"] == "/team/app"


class TestTheWayOut:
    """Proxies and certificates are the machine's."""

    @pytest.mark.parametrize(
        "name",
        [
            *("HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
            *("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
            *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        ],
    )
    def test_they_pass_unless_the_function_has_its_own(self, name: str) -> None:
        assert environment(environ={name: "/here"})[name] == "/here"
        assert environment({name: "/own"}, {name: "/here"})[name] == "/own"

    def test_a_functions_proxy_replaces_both_spellings_of_the_machines(self) -> None:
        environ = {"HTTPS_PROXY": "http://here", "https_proxy": "http://here"}
        made = environment({"https_proxy": "http://own"}, environ)
        assert made["https_proxy"] == "http://own"
        assert "HTTPS_PROXY" not in made

    def test_a_file_is_found_from_another_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ca.pem").touch()
        monkeypatch.chdir(tmp_path)
        environ = {"AWS_CA_BUNDLE": "ca.pem", "SSL_CERT_FILE": "gone.pem"}
        made = environment(environ=environ)
        assert made["AWS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
        assert made["SSL_CERT_FILE"] == "gone.pem"

    @pytest.mark.parametrize("variables", [{}, {"HTTP_PROXY": "http://proxy.corp:3128"}])
    def test_loopback_is_never_behind_a_proxy(self, variables: dict[str, str]) -> None:
        environ = {"HTTP_PROXY": "http://proxy.corp:3128", "NO_PROXY": ".corp"}
        made = environment(variables, environ)
        assert made["NO_PROXY"] == made["no_proxy"]
        hosts = made["NO_PROXY"].split(",")
        assert hosts[0] == ".corp"
        assert {"localhost", "127.0.0.1", "::1"} <= {*hosts}

    def test_what_the_code_asks_on_loopback_reaches_it(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Through urllib, which is what botocore and requests ask for proxies, too."""
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("NO_PROXY")
        project.write("""
            from urllib.request import getproxies, proxy_bypass
            def handler(event, context):
                return [getproxies()["http"], [bool(proxy_bypass(host)) for host in event]]
        """)
        hosts = ["localhost:4566", "127.0.0.1", "::1", "a.localhost.localstack.cloud", "aws.com"]
        assert value(project.invoke(hosts)) == [
            "http://127.0.0.1:9",
            [True, True, True, True, False],
        ]


class TestPath:
    def test_the_functions_then_this_machines(self, tmp_path: Path) -> None:
        code, one, two = (tmp_path / name for name in ("code", "one", "two"))
        for folder in (code / "bin", one / "bin", two / "bin", two / "lib"):
            folder.mkdir(parents=True)
        function = replace(
            FUNCTION,
            code_dir=code,
            layers=(one, two),
            variables={"PATH": "/var/task/bin:/usr/bin:/opt/bin:/var/lang/bin"},
        )
        made = make_child_environment(function, {"PATH": "/home/me/bin:/usr/bin"}, {})
        assert made["PATH"].split(":") == [
            *(f"{code}/bin", f"{two}/bin", f"{one}/bin"),
            *("/home/me/bin", "/usr/bin", "/var/lang/bin"),
        ]

    def test_a_functions_own_does_not_hide_the_machines_programs(self, project: Project) -> None:
        project.write("""
            import subprocess
            def handler(event, context):
                return subprocess.run("tool | cat", shell=True, capture_output=True).stdout.decode()
        """)
        project.write("#!/bin/sh\necho mine", "bin/tool").chmod(0o755)
        assert value(project.invoke(variables={"PATH": "/var/task/bin:/opt/bin"})) == "mine\n"

    def test_programs_of_layers_are_found(self, project: Project, tmp_path_factory: Any) -> None:
        layer = tmp_path_factory.mktemp("layer")
        tool = Project(layer).write("#!/bin/sh\ncat $CONFIG", "bin/tool")
        tool.chmod(0o755)
        Project(layer).write("of the layer", "etc/config")
        project.write("""
            import subprocess
            def handler(event, context): return subprocess.check_output(["tool"]).decode()
        """)
        function = project.function(layers=(layer,), variables={"CONFIG": "/opt/etc/config"})

        async def work(invoker: Invoker) -> Any:
            return value(await invoke(invoker, function))

        assert project.run(work) == "of the layer"

    def test_an_environments_programs_come_first(self, tmp_path: Path) -> None:
        python = tmp_path / "bin" / "python"
        (tmp_path / "pyvenv.cfg").touch()
        made = make_child_environment(FUNCTION, {"PATH": "/bin"}, {}, python)
        assert made["PATH"] == f"{tmp_path}/bin:/bin"
        made = make_child_environment(FUNCTION, {"PATH": "/bin"}, {}, Path("/usr/bin/python3"))
        assert made["PATH"] == "/bin"

    def test_modules_in_a_folder_that_the_function_names(self, project: Project) -> None:
        project.write("import helper\ndef handler(event, context): return helper.VALUE")
        project.write("VALUE = 7", "src/helper.py")
        assert value(project.invoke(variables={"PYTHONPATH": "/var/task/src"})) == 7

    def test_shared_libraries_are_looked_for_where_there_are_any(self, tmp_path: Path) -> None:
        for layer, name in (("one", "libpq.so.5"), ("two", "readme.txt")):
            (tmp_path / layer / "lib").mkdir(parents=True)
            (tmp_path / layer / "lib" / name).touch()
        function = replace(FUNCTION, layers=(tmp_path / "one", tmp_path / "two"))
        assert make_child_environment(function, {}, {})["LD_LIBRARY_PATH"] == f"{tmp_path}/one/lib"
        made = make_child_environment(function, {"LD_LIBRARY_PATH": "/here"}, {})
        assert made["LD_LIBRARY_PATH"] == f"/here:{tmp_path}/one/lib"


class TestEachInvocation:
    CODE = """
        import os
        def handler(event, context):
            names = ("_X_AMZN_TRACE_ID", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
                     "AWS_LAMBDA_FUNCTION_VERSION")
            return [*map(os.environ.get, names), context.log_group_name, context.log_stream_name,
                    context.function_version, context.tenant_id]
    """

    def test_has_what_the_function_was_given_there(self, project: Project) -> None:
        project.write(self.CODE)
        context = CONTEXT | {
            "trace_id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            "log_group_name": "/team/app",
            "log_stream_name": "2026/11/21/[$LATEST]ab",
            "function_version": "7",
            "tenant_id": "blue",
        }
        common = ["/team/app", "2026/11/21/[$LATEST]ab", "7"]
        answer = value(project.invoke(context=context))
        assert answer == [context["trace_id"], *common, *common, "blue"]

    def test_has_a_trace_id_of_its_own(self, project: Project) -> None:
        """That nothing is traced is said, where no emulator says anything."""
        project.write(self.CODE)

        async def work(invoker: Invoker) -> list[str]:
            given = [CONTEXT, CONTEXT | {"trace_id": "Root=1-a-b"}, CONTEXT]
            function = project.function()
            return [value(await invoke(invoker, function, context=context))[0] for context in given]

        first, second, third = project.run(work)
        assert second == "Root=1-a-b"
        for one in (first, third):
            parts = dict(part.split("=") for part in one.split(";"))
            assert parts.keys() == {"Root", "Parent", "Sampled"}
            version, seconds, unique = parts["Root"].split("-")
            assert (version, len(seconds), len(unique), parts["Sampled"]) == ("1", 8, 24, "0")
        assert first != third

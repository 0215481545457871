"""What is in an image's /var/task is found in the context of its Dockerfile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.dockerfile import read_image

BASE = "FROM public.ecr.aws/lambda/python:3.12\n"


def read(
    folder: Path, dockerfile: str, *files: str, command: tuple[str, ...] = ()
) -> tuple[str, str | None]:
    """The code's folder, relative to the context, and the handler."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "Dockerfile").write_text(dockerfile)
    image = read_image(folder, folder / "Dockerfile", command)
    return str(image.code_dir.relative_to(folder)), image.handler


@pytest.mark.parametrize(
    ("lines", "files", "folder"),
    [
        ("COPY app.py requirements.txt ${LAMBDA_TASK_ROOT}/", ["app.py"], "."),
        ("COPY app.py $LAMBDA_TASK_ROOT", ["app.py"], "."),
        ("COPY app.py ./", ["app.py"], "."),
        ("COPY . .", ["app.py"], "."),
        ("COPY src/ ${LAMBDA_TASK_ROOT}", ["src/app.py"], "src"),
        ("COPY src/*.py /var/task/", ["src/app.py"], "src"),
        ("COPY src/app.py ${LAMBDA_TASK_ROOT}/app.py", ["src/app.py"], "src"),
        ('COPY ["src", "/var/task"]', ["src/app.py"], "src"),
        ("COPY --chown=1:1 --chmod=644 src .", ["src/app.py"], "src"),
        ("ADD src \\\n  # a comment\n  .", ["src/app.py"], "src"),
        ("COPY vendor .\nCOPY src .", ["vendor/x.py", "src/app.py"], "src"),
        ("COPY pyproject.toml .\nCOPY src .", ["pyproject.toml", "app.py", "src/app.py"], "src"),
        ("COPY *.txt ./\nCOPY src .", ["x.txt", "app.py", "src/app.py"], "src"),
        ("COPY pyproject.toml .\nCOPY src .", ["pyproject.toml", "src/main.py"], "src"),
        ("COPY src/orders.py ./app.py", ["src/orders.py"], "src"),
        ("ARG CODE=src\nCOPY ${CODE} .", ["src/app.py"], "src"),
        ("ENV ROOT /srv\nWORKDIR $ROOT\nCOPY src ${ROOT}", ["src/app.py"], "src"),
        ("COPY ${CODE:-src} .", ["src/app.py"], "src"),
        ("COPY --from=build /out .", ["app.py"], "."),
        ("COPY src /opt/other", ["src/app.py", "app.py"], "."),
        ("RUN pip install x", [], "."),
        ("COPY src .", [], "."),
    ],
)
def test_where_the_code_is(tmp_path: Path, lines: str, files: list[str], folder: str) -> None:
    text = f'{BASE}{lines}\nCMD ["app.handler"]\n'
    assert read(tmp_path, text, *files) == (folder, "app.handler")


class TestStages:
    """https://docs.docker.com/build/building/multi-stage/"""

    @pytest.mark.parametrize(
        "text",
        [
            BASE.rstrip() + " AS base\nCOPY src/ .\nCMD app.handler\nFROM base\nRUN true",
            BASE.rstrip()
            + " as Base\nCOPY src/ .\nFROM --platform=linux/amd64 base\nCMD app.handler",
            "FROM python:3.12 AS build\nCOPY src /out\nRUN x\n"
            f"{BASE}COPY --from=build /out ${{LAMBDA_TASK_ROOT}}\nCMD app.handler",
            "FROM python:3.12\nCOPY . /out\n"
            f"{BASE}COPY --chown=1 --from=0 /out/src/ .\nCMD app.handler",
            # https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
            'ARG FUNCTION_DIR="/function"\nFROM python:3.12 AS build-image\nARG FUNCTION_DIR\n'
            "COPY src/* ${FUNCTION_DIR}/\nFROM python:3.12-slim\nARG FUNCTION_DIR\n"
            "WORKDIR ${FUNCTION_DIR}\nCOPY --from=build-image ${FUNCTION_DIR} ${FUNCTION_DIR}\n"
            'ENTRYPOINT ["python", "-m", "awslambdaric"]\nCMD ["app.handler"]',
            f'{BASE}COPY src .\nENTRYPOINT ["python", "-m", "awslambdaric", "app.handler"]',
            f"\ufeff{BASE}COPY src .\r\nCMD app.handler\r\n",
        ],
    )
    def test_what_one_has_of_another(self, tmp_path: Path, text: str) -> None:
        assert read(tmp_path, text, "src/app.py", "app.py/x") == ("src", "app.handler")

    def test_the_image_need_not_be_the_last_one(self, tmp_path: Path) -> None:
        text = (
            f"{BASE.rstrip()} AS prod\nCOPY src .\nCMD app.handler\n"
            "FROM prod AS test\nCOPY tests .\nCMD test.main"
        )
        read(tmp_path, text, "src/app.py", "tests/test.py")
        image = read_image(tmp_path, tmp_path / "Dockerfile", target="Prod")
        assert (image.code_dir, image.handler) == (tmp_path / "src", "app.handler")
        assert read_image(tmp_path, tmp_path / "Dockerfile").handler == "test.main"

    def test_what_is_from_elsewhere_is_not_known(self, tmp_path: Path) -> None:
        text = f"{BASE}COPY --from=ghcr.io/x/y /src .\nCMD app.handler"
        assert read(tmp_path, text, "src/app.py") == (".", "app.handler")


class TestBuildArguments:
    """https://docs.docker.com/reference/dockerfile/#arg"""

    @pytest.mark.parametrize(
        ("lines", "folder"),
        [
            (f"{BASE}ARG FUNC=orders\nCOPY functions/${{FUNC}}/ .", "billing"),
            (f"{BASE}ARG FUNC\nCOPY functions/$FUNC .", "billing"),
            (f"{BASE}ARG A=1 FUNC=orders B\nCOPY functions/$FUNC .", "billing"),
            (f"ARG FUNC=orders\n{BASE}ARG FUNC\nCOPY functions/$FUNC .", "billing"),
            (f"{BASE}ARG FUNC=orders\nENV FUNC=stock\nCOPY functions/$FUNC .", "stock"),
            ("ARG FUNC=x\nFROM a AS billing\nCOPY functions/billing .\nFROM $FUNC", "billing"),
        ],
    )
    def test_they_win_over_defaults(self, tmp_path: Path, lines: str, folder: str) -> None:
        text = f"{lines}\nCMD app.handler"
        read(
            tmp_path, text, *(f"functions/{name}/app.py" for name in ("orders", "billing", "stock"))
        )
        image = read_image(
            tmp_path, tmp_path / "Dockerfile", build_args={"FUNC": "billing", "OTHER": "x"}
        )
        assert image.code_dir == tmp_path / "functions" / folder

    def test_one_that_is_not_declared_has_no_effect(self, tmp_path: Path) -> None:
        read(tmp_path, f"{BASE}COPY ${{FUNC:-src}} .\nCMD app.handler", "src/app.py", "b/app.py")
        image = read_image(tmp_path, tmp_path / "Dockerfile", build_args={"FUNC": "b"})
        assert image.code_dir == tmp_path / "src"


def test_a_monitoring_products_handler_leads_to_the_functions_own(tmp_path: Path) -> None:
    wrapper = "datadog_lambda.handler.handler"
    text = f'{BASE}COPY vendor .\nCOPY src .\nENV DD_LAMBDA_HANDLER=app.handler\nCMD ["{wrapper}"]'
    assert read(tmp_path, text, "vendor/x.py", "src/app.py") == ("src", wrapper)
    variables = {"DD_LAMBDA_HANDLER": "x.handler"}
    image = read_image(tmp_path, tmp_path / "Dockerfile", variables=variables)
    assert image.code_dir == tmp_path / "vendor"


@pytest.mark.parametrize(
    ("lines", "beside"),
    [
        ("COPY common ./common\nCOPY services/orders/ ./", ["."]),
        ("COPY common/ .\nCOPY services/orders/ ./\nCOPY common/ .", ["common"]),
        ("COPY services/orders/ .\nCOPY common/x.py ./common/", ["."]),
        ("COPY services/orders/ .\nCOPY requirements.txt gone .", []),
        ("COPY services/orders/ .\nCOPY common /opt", []),
    ],
)
def test_what_is_copied_beside_the_code(tmp_path: Path, lines: str, beside: list[str]) -> None:
    files = ("common/x.py", "services/orders/app.py", "requirements.txt")
    assert read(tmp_path, f"{BASE}{lines}\nCMD app.handler", *files)[0] == "services/orders"
    image = read_image(tmp_path, tmp_path / "Dockerfile")
    assert image.beside == tuple(tmp_path / name for name in beside)


def test_a_package_that_is_copied_as_a_whole(tmp_path: Path) -> None:
    text = BASE + 'COPY services/orders/ /var/task/orders/\nCMD ["orders.app.handler"]'
    assert read(tmp_path, text, "services/orders/app.py") == ("services", "orders.app.handler")


def test_a_file_of_a_package(tmp_path: Path) -> None:
    text = BASE + "COPY services/orders/app.py ./orders/\nCMD orders.app.handler"
    assert read(tmp_path, text, "services/orders/app.py") == ("services", "orders.app.handler")


def test_the_last_stage_and_its_last_command_count(tmp_path: Path) -> None:
    text = f'{BASE}COPY a .\nCMD a.b\n{BASE}COPY src .\nCMD x.y\nCMD [ "app.handler" ]\n'
    assert read(tmp_path, text, "a/app.py", "src/app.py") == ("src", "app.handler")


def test_a_runtime_client_of_ones_own(tmp_path: Path) -> None:
    text = (
        "FROM python:3.12\nWORKDIR /srv\nCOPY src /srv\n"
        'ENTRYPOINT ["python", "-m", "awslambdaric"]\nCMD ["app.handler"]'
    )
    assert read(tmp_path, text, "src/app.py") == ("src", "app.handler")


def test_a_command_of_the_function_stands_in_the_place_of_the_images(tmp_path: Path) -> None:
    text = BASE + 'COPY one .\nCOPY two .\nCMD ["app.handler"]'
    files = ("one/app.py", "two/other.py")
    assert read(tmp_path, text, *files, command=("other.main",)) == ("two", "other.main")


@pytest.mark.parametrize(
    "lines",
    [
        "RUN <<EOF\nCOPY other .\nCMD other.handler\nEOF",
        "RUN <<-'EOF' bash\n\tCOPY other .\n\tEOF",
        'COPY <<"one.txt" <<two /var/task/\nCOPY other .\none.txt\nCMD other.handler\ntwo',
        "ADD <<EOF /var/task/x.py\n# \\\nEOF",
        "RUN cat <<<COPY && true",
        "ENV SHIFT=1<<2",
    ],
)
def test_documents_are_no_instructions(tmp_path: Path, lines: str) -> None:
    """https://docs.docker.com/reference/dockerfile/#here-documents"""
    text = f"{BASE}{lines}\nCOPY src .\nCMD app.handler\n"
    assert read(tmp_path, text, "src/app.py", "other/app.py") == ("src", "app.handler")


def test_windows_escapes(tmp_path: Path) -> None:
    text = f"# escape=`\n{BASE}COPY `\n src .\nCMD app.handler"
    assert read(tmp_path, text, "src/app.py") == ("src", "app.handler")


PIECES = [
    *("FROM x", "COPY", "COPY a", "COPY [", "RUN <<E", "E", "CMD [", "CMD", 'CMD "'),
    *("ENV", "ENV =", "ARG a", "WORKDIR"),
]


@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES)).map("\n".join))
def test_whatever_it_says_there_is_a_folder(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    assert read_image(folder, folder / "Dockerfile").code_dir == folder

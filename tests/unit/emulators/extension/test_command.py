"""The command of the package sets what the image sets, and leaves what is set."""

from pathlib import Path

from localstack_tokenfree.command import DEFAULTS, set_defaults

IMAGE = Path(__file__).parents[4] / "plldb" / "emulators" / "localstack" / "Dockerfile"


def test_it_sets_what_the_image_sets() -> None:
    text = IMAGE.read_text().replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.startswith("ENV PATH=")]
    variables = dict(word.split("=", 1) for word in line.split()[1:])
    about_the_container = ("PATH", "HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    wanted = {name: value for name, value in variables.items() if name not in about_the_container}
    # A container's port is published on this machine only; the command's is open to it only.
    assert wanted | {"GATEWAY_LISTEN": "127.0.0.1:4566"} == DEFAULTS


def test_what_is_set_stays() -> None:
    environ = {"GATEWAY_LISTEN": "127.0.0.1:5000"}
    set_defaults(environ)
    assert environ == DEFAULTS | {"GATEWAY_LISTEN": "127.0.0.1:5000"}

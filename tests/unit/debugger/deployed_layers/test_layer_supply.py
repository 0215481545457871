"""A session's functions get the layers that they are deployed with, or go on without."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.deployed_layers.layer_cache import LayerCache
from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher, get_layer_version
from plldb.debugger.deployed_layers.layer_supply import (
    LayerDownload,
    LayerEvent,
    LayerRemark,
    LayerSupply,
)
from plldb.debugger.sources.project import DescribedLayer
from tests.unit.debugger.deployed_layers.archives import distribution, elf, make_layer, write_files
from tests.unit.debugger.deployed_layers.layer_store import LayerStore, arn, layer_store
from tests.unit.debugger.local_code import HERE, Project, error, invoke, value

RUNTIME = "python{}.{}".format(*HERE.version)
COMMON, TOOLS = arn("common"), arn("tools", 3)
POWERTOOLS = (
    "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python311-x86_64:7"
)
NOWHERE = DescribedLayer("Uploaded", reason="its Content is in S3")


@pytest.fixture
def store() -> Iterator[LayerStore]:
    with layer_store() as store:
        store.layers[COMMON] = make_layer({"python/common.py": "V = 'fetched'"})
        store.layers[TOOLS] = make_layer({"python/common.py": "V = 'tools'"})
        yield store


class Supplied:
    """What one plldb supplies to its functions; ``events`` are what it tells."""

    def __init__(self, store: LayerStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.events: list[LayerEvent] = []

    def collect(
        self,
        *functions: tuple[str, Sequence[DescribedLayer], Sequence[str] | None],
        runtime: str = RUNTIME,
    ) -> list[tuple[Path, ...]]:
        """Of several functions at once: their names, and what is described and deployed."""

        async def work(fetcher: LayerFetcher) -> list[tuple[Path, ...]]:
            supply = LayerSupply(fetcher, HERE, self.events.append)
            calls = [supply.collect(name, runtime, *layers) for name, *layers in functions]
            return await asyncio.gather(*calls)

        with (
            self._store.target() as target,
            LayerFetcher(
                partial(get_layer_version, target),
                LayerCache(self._folder),
                reach=target.reachable_url,
            ) as fetcher,
        ):
            return asyncio.run(work(fetcher))

    @property
    def remarks(self) -> list[tuple[str, str]]:
        return [(one.function, one.text) for one in self.events if isinstance(one, LayerRemark)]


@pytest.fixture
def supplied(store: LayerStore, tmp_path: Path) -> Supplied:
    return Supplied(store, tmp_path / "cache")


def local(folder: Path, name: str = "Common") -> DescribedLayer:
    write_files(folder, {"python/common.py": "V = 'local'"})
    return DescribedLayer(name, (folder,))


class TestOrder:
    def test_fetched_and_local_ones_are_in_the_deployed_order(
        self, supplied: Supplied, tmp_path: Path
    ) -> None:
        own = local(tmp_path / "layers", "Tools")
        parameter = DescribedLayer('{"Ref": "LayerArn"}', reason="it is none of this template's")
        ((first, second),) = supplied.collect(("F", [parameter, own], [COMMON, TOOLS]))
        assert (first / "python" / "common.py").read_text() == "V = 'fetched'"
        assert second == tmp_path / "layers"
        assert supplied.remarks == []

    def test_the_code_imports_them(
        self, supplied: Supplied, store: LayerStore, tmp_path: Path
    ) -> None:
        store.layers[COMMON] = make_layer(
            {f"python/lib/{RUNTIME}/site-packages/installed.py": "V = 1", "data/words": "hello"}
        )
        (layers,) = supplied.collect(("F", [], [COMMON, TOOLS]))
        project = Project(tmp_path / "code")
        project.write("""
            import os
            import common, installed
            def handler(event, context):
                with open(os.environ["WORDS"]) as file:
                    return [common.V, installed.V, file.read()]
        """)
        function = project.function(
            layers=layers, runtime=RUNTIME, variables={"WORDS": "/opt/data/words"}
        )
        outcome = project.run(lambda invoker: invoke(invoker, function))
        assert value(outcome) == ["tools", 1, "hello"]

    def test_what_is_described_alone_is_used_where_nobody_tells_what_is_deployed(
        self, supplied: Supplied, tmp_path: Path
    ) -> None:
        own = local(tmp_path / "layers")
        assert supplied.collect(("F", [own, NOWHERE], None)) == [(tmp_path / "layers",)]
        ((function, text),) = supplied.remarks
        assert function == "F"
        for part in ("Uploaded", "its Content is in S3", "Install what it brings"):
            assert part in text


class TestSharing:
    def test_functions_share_a_layer(self, supplied: Supplied, store: LayerStore) -> None:
        functions = [(f"F{number}", (), (COMMON, TOOLS)) for number in range(20)]
        assert len(set(supplied.collect(*functions))) == 1
        assert sorted(store.described) == [COMMON, TOOLS]
        downloads = [one.layer for one in supplied.events if isinstance(one, LayerDownload)]
        assert sorted(downloads) == ["common:1", "tools:3"]

    def test_another_session_asks_for_nothing(self, supplied: Supplied, store: LayerStore) -> None:
        once = supplied.collect(("F", (), [COMMON]))
        supplied.events.clear()
        assert supplied.collect(("G", (), [COMMON])) == once
        assert store.described == [COMMON]
        assert supplied.events == []

    def test_what_is_wrong_is_told_once(self, supplied: Supplied) -> None:
        functions = [(name, (), [arn("gone")]) for name in ("F", "G", "H")]
        assert supplied.collect(*functions) == [(), (), ()]
        ((function, text),) = supplied.remarks
        assert function == "F"
        assert text.startswith("its layer gone:1 can't be had: there is no such version")
        assert "Publish it again" in text


class TestExtensions:
    @pytest.mark.parametrize("suffix", ["", "-Arm64"])
    @pytest.mark.parametrize(
        ("name", "effect"),
        [
            ("AWS-Parameters-and-Secrets-Lambda-Extension", "localhost:2773"),
            ("AWS-AppConfig-Extension", "localhost:2772"),
            ("LambdaInsightsExtension", "not measured"),
        ],
    )
    def test_those_of_aws_are_named_and_not_downloaded(
        self, supplied: Supplied, store: LayerStore, name: str, suffix: str, effect: str
    ) -> None:
        assert supplied.collect(("F", (), [arn(name + suffix, 12)])) == [()]
        ((_, text),) = supplied.remarks
        for part in (f"{name}{suffix}:12", "is a Lambda extension", effect):
            assert part in text
        assert store.described == []

    def test_others_are_named_by_what_is_in_them(
        self, supplied: Supplied, store: LayerStore
    ) -> None:
        store.layers[COMMON] = make_layer({"extensions/agent": "x", "python/common.py": ""})
        ((path,),) = supplied.collect(("F", (), [COMMON]))
        assert (path / "python" / "common.py").is_file()
        ((_, text),) = supplied.remarks
        assert text == "its layer common:1 has extensions, which do not run here: agent."


class TestMisfits:
    FOREIGN = "fast/m.cpython-34-x86_64-linux-gnu.so"

    @pytest.fixture
    def foreign(self, store: LayerStore) -> None:
        files = {
            "common.py": "V = 1",
            "fast/__init__.py": "from . import m",
            self.FOREIGN: elf(),
            **distribution("fast", "1.2", "fast/__init__.py", self.FOREIGN),
        }
        store.layers[COMMON] = make_layer({f"python/{name}": text for name, text in files.items()})

    @pytest.mark.usefixtures("foreign")
    def test_the_rest_is_used_and_what_pip_can_install_is_told(
        self, supplied: Supplied, tmp_path: Path
    ) -> None:
        (layers,) = supplied.collect(("F", (), [COMMON]))
        ((_, text),) = supplied.remarks
        assert text == (
            "its layer common:1 is used without fast: it is compiled for Python 3.4, and runs "
            f"under {HERE.version[0]}.{HERE.version[1]} here. Install it for your project: "
            "pip install fast==1.2"
        )
        project = Project(tmp_path / "code")
        project.write("""
            import common
            def handler(event, context):
                import fast
        """)
        function = project.function(layers=layers, runtime=RUNTIME)
        outcome = project.run(lambda invoker: invoke(invoker, function))
        assert error(outcome)["errorMessage"] == "No module named 'fast'"

    @pytest.mark.usefixtures("foreign")
    def test_again(self, supplied: Supplied) -> None:
        once = supplied.collect(("F", (), [COMMON]))
        supplied.events.clear()
        assert supplied.collect(("F", (), [COMMON])) == once
        assert len(supplied.remarks) == 1

    def test_many_are_not_all_shown(self, supplied: Supplied, store: LayerStore) -> None:
        files = {f"python/m{n}.cpython-34-x86_64-linux-gnu.so": elf() for n in range(9)}
        store.layers[COMMON] = make_layer(files)
        supplied.collect(("F", (), [COMMON]))
        ((_, text),) = supplied.remarks
        assert "without m0, m1, m2, m3, m4, m5 and 3 more: " in text
        assert "Install what it brings" in text


class TestRefusals:
    def test_the_others_are_had_all_the_same(self, supplied: Supplied, store: LayerStore) -> None:
        store.refusals[POWERTOOLS] = 403, "AccessDeniedException"
        ((path,),) = supplied.collect(("F", (), [POWERTOOLS, COMMON]))
        assert (path / "python" / "common.py").is_file()
        ((_, text),) = supplied.remarks
        for part in ("Powertools", "may not read it", "Allow them lambda:GetLayerVersion"):
            assert part in text

    @pytest.mark.parametrize("text", ["", "x", "arn:aws:lambda:eu-west-1:1:layer:x:1"])
    def test_an_arn_that_makes_no_sense(self, supplied: Supplied, text: str) -> None:
        assert supplied.collect(("F", (), [text])) == [()]
        assert len(supplied.remarks) == 1

    def test_no_secret_is_told(self, supplied: Supplied, store: LayerStore) -> None:
        store.tampered[COMMON] = b"x"
        supplied.collect(("F", (), [COMMON]))
        assert "5ecre7" not in repr(supplied.events)


def test_a_checksum_that_is_not_one(supplied: Supplied, store: LayerStore) -> None:
    content = {"Location": "http://x/", "CodeSha256": base64.b64encode(b"../../../evil").decode()}
    store.descriptions[COMMON] = {"Content": content}
    assert supplied.collect(("F", (), [COMMON])) == [()]
    assert len(supplied.remarks) == 1


def test_without_layers_there_is_nothing_to_do(supplied: Supplied, store: LayerStore) -> None:
    assert supplied.collect(("F", (), [])) == [()]
    assert supplied.collect(("F", (), None)) == [()]
    assert LocalFunction("F", Path("/code"), "app.handler", "f").layers == ()
    assert store.described == []

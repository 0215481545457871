"""A version of a layer is asked for, downloaded, checked and kept; what goes wrong is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from plldb.debugger.deployed_layers.arrangement import LayerArn, parse_layer_arn
from plldb.debugger.deployed_layers.layer_cache import LayerCache
from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher, get_layer_version
from plldb.errors import LayerError
from tests.unit.debugger.deployed_layers.archives import file, link, make_archive, make_layer
from tests.unit.debugger.deployed_layers.layer_store import (
    SIGNATURE,
    LayerStore,
    arn,
    layer_store,
)

# urllib3 leaves a connection to be closed by the garbage collector after a failure.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

COMMON = arn("common")
ARCHIVE = make_layer({"python/common.py": "V = 1"})


def parsed(text: str) -> LayerArn:
    found = parse_layer_arn(text)
    assert found is not None
    return found


@pytest.fixture
def store() -> Iterator[LayerStore]:
    with layer_store() as store:
        store.layers[COMMON] = ARCHIVE
        yield store


def fetch(store: LayerStore, folder: Path, text: str = COMMON, *, is_lasting: bool = True) -> Path:
    """By a plldb of its own."""
    with (
        store.target() as target,
        LayerFetcher(
            partial(get_layer_version, target),
            LayerCache(folder),
            reach=target.reachable_url,
            is_lasting=is_lasting,
        ) as fetcher,
    ):
        return fetcher.fetch(parsed(text))


def refusal(store: LayerStore, folder: Path, text: str = COMMON) -> str:
    """Why it can't be had, and what to do. Nothing is kept."""
    with pytest.raises(LayerError) as raised:
        fetch(store, folder, text)
    assert not (folder / "content").exists() or not list((folder / "content").iterdir())
    assert not (folder / "unfinished").exists() or not list((folder / "unfinished").iterdir())
    return f"{raised.value.message}. {raised.value.hint}"


class TestFetching:
    def test_it_is_unpacked(self, store: LayerStore, tmp_path: Path) -> None:
        path = fetch(store, tmp_path)
        assert (path / "python" / "common.py").read_text() == "V = 1"
        assert [one.name for one in (tmp_path / "unfinished").iterdir()] == []

    def test_once_on_a_machine(self, store: LayerStore, tmp_path: Path) -> None:
        assert fetch(store, tmp_path) == fetch(store, tmp_path)
        assert store.described == [COMMON]
        assert store.downloaded == [COMMON]

    def test_the_same_content_is_downloaded_once(self, store: LayerStore, tmp_path: Path) -> None:
        store.layers[arn("other", 7)] = ARCHIVE
        assert fetch(store, tmp_path) == fetch(store, tmp_path, arn("other", 7))
        assert store.downloaded == [COMMON]

    def test_an_emulator_may_give_an_arn_to_another_content(
        self, store: LayerStore, tmp_path: Path
    ) -> None:
        fetch(store, tmp_path, is_lasting=False)
        fetch(store, tmp_path, is_lasting=False)
        store.layers[COMMON] = make_layer({"python/common.py": "V = 2"})
        path = fetch(store, tmp_path, is_lasting=False)
        assert (path / "python" / "common.py").read_text() == "V = 2"
        assert len(store.described) == 3
        assert len(store.downloaded) == 2

    def test_one_that_was_deleted_meanwhile_is_still_here(
        self, store: LayerStore, tmp_path: Path
    ) -> None:
        """Functions that have it keep it, too."""
        path = fetch(store, tmp_path)
        del store.layers[COMMON]
        assert fetch(store, tmp_path) == path

    def test_it_is_asked_for_in_its_own_region(self, store: LayerStore, tmp_path: Path) -> None:
        store.layers[arn("x", region="ap-south-1")] = ARCHIVE
        fetch(store, tmp_path, arn("x", region="ap-south-1"))
        assert store.regions == ["ap-south-1"]

    def test_its_download_is_signed_in_the_url_and_nowhere_else(
        self, store: LayerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        fetch(store, tmp_path / "cache")
        assert "authorization" not in store.headers[0]

    def test_a_layer_without_packages_has_an_empty_folder_of_them(
        self, store: LayerStore, tmp_path: Path
    ) -> None:
        """So that its other files are not taken for packages."""
        store.layers[COMMON] = make_layer({"extensions/agent": "x"})
        assert list((fetch(store, tmp_path) / "python").iterdir()) == []

    def test_two_at_once(self, store: LayerStore, tmp_path: Path) -> None:
        store.gate.clear()
        paths: list[Path] = []
        threads = [
            threading.Thread(target=lambda: paths.append(fetch(store, tmp_path))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        store.gate.set()
        for thread in threads:
            thread.join(20)
        assert len(paths) == 2
        assert paths[0] == paths[1]
        assert (paths[0] / "python" / "common.py").read_text() == "V = 1"
        assert list((tmp_path / "unfinished").iterdir()) == []


class TestRefusals:
    def test_no_rights(self, store: LayerStore, tmp_path: Path) -> None:
        store.refusals[COMMON] = 403, "AccessDeniedException"
        said = refusal(store, tmp_path)
        for part in ("may not read it", "lambda:GetLayerVersion", COMMON, "owner"):
            assert part in said

    def test_it_was_deleted(self, store: LayerStore, tmp_path: Path) -> None:
        said = refusal(store, tmp_path, arn("gone"))
        assert "no such version in eu-west-1" in said
        assert "Publish it again" in said

    def test_a_call_that_fails_otherwise(self, store: LayerStore, tmp_path: Path) -> None:
        store.refusals[COMMON] = 400, "InvalidParameterValueException"
        assert "InvalidParameterValueException" in refusal(store, tmp_path)

    def test_no_network(self, tmp_path: Path) -> None:
        with layer_store() as store:
            pass
        assert "Check that the endpoint is right" in refusal(store, tmp_path)

    @pytest.mark.parametrize("content", [{}, {"Location": "http://x/", "CodeSha256": ""}, None])
    def test_an_emulator_has_it_in_name_only(
        self, store: LayerStore, tmp_path: Path, content: dict[str, str] | None
    ) -> None:
        store.descriptions[COMMON] = {"Content": content}
        assert "says nothing of its content" in refusal(store, tmp_path)

    def test_what_arrives_is_not_what_lambda_describes(
        self, store: LayerStore, tmp_path: Path
    ) -> None:
        store.tampered[COMMON] = make_layer({"python/common.py": "evil()"})
        assert "not what Lambda says it is (CodeSha256)" in refusal(store, tmp_path)

    def test_a_download_that_breaks_off(self, store: LayerStore, tmp_path: Path) -> None:
        store.cut.add(COMMON)
        said = refusal(store, tmp_path)
        assert "broke off" in said
        assert SIGNATURE not in said

    def test_a_url_that_is_not_valid_any_more(self, store: LayerStore, tmp_path: Path) -> None:
        store.broken[COMMON] = 403
        said = refusal(store, tmp_path)
        assert "refused with 403" in said
        assert SIGNATURE not in said

    def test_an_archive_that_leads_elsewhere(self, store: LayerStore, tmp_path: Path) -> None:
        store.layers[COMMON] = make_archive([file("../../../evil", "x"), link("a", "b")])
        assert "malformed" in refusal(store, tmp_path)
        assert list(tmp_path.rglob("evil")) == []

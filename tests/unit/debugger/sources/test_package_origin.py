"""Which folder of a project a package came from; and that no other one is ever taken for it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.package_origin import NoOrigin, OriginFinder, Package

HANDLER = """import json


def handler(event, context):
    what = {what!r}
    print("handling", what)
    return {{"what": what, "event": event}}
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for what in ("orders", "billing"):
        write(tmp_path / "lambdas" / what, {"app.py": HANDLER.format(what=what)})
    write(tmp_path, {"app.py": "import aws_cdk\n", "stacks/__init__.py": ""})
    write(tmp_path / "cdk.out/asset.billing", {"app.py": HANDLER.format(what="billing")})
    return tmp_path


def packaged(folder: Path, number: int = 0) -> Package:
    """The folder as a tool copies it."""
    copy = folder.parents[1] / "cdk.out" / f"asset.{number}"
    shutil.copytree(folder, copy)
    return Package(copy)


def find(root: Path, package: Package, *others: Package) -> Path | NoOrigin:
    """Of a project that has packages of both its functions."""
    others = others or (Package(root / "cdk.out/asset.billing"),)
    finder = OriginFinder([root], [package, *others], is_named=lambda folder: True)
    return finder.find(package, "app.handler")


def edit(folder: Path, name: str = "app.py") -> None:
    path = folder / name
    path.write_text(path.read_text().replace("print(", "print('edited', "))


def test_the_folder_with_equal_files(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    assert find(root, package) == root / "lambdas/orders"


@pytest.mark.parametrize("name", ["common", "build"])
def test_what_is_behind_a_link_or_looks_built_may_be_a_part_of_the_folder(
    root: Path, name: str
) -> None:
    write(root / "shared", {"util.py": "x = 1\n"})
    (root / "lambdas/orders" / name).symlink_to(root / "shared", target_is_directory=True)
    package = packaged(root / "lambdas/orders")
    assert find(root, package) == root / "lambdas/orders"
    write(package.path, {f"{name}/util.py": "x = 2\n"})
    found = OriginFinder([root]).find(Package(package.path), "app.handler")
    assert isinstance(found, NoOrigin)


def test_a_zip_file(root: Path) -> None:
    with zipfile.ZipFile(root / "orders.zip", "w") as archive:
        archive.write(root / "lambdas/orders/app.py", "app.py")
    assert find(root, Package(root / "orders.zip")) == root / "lambdas/orders"
    (root / "bad.zip").write_bytes(b"PK no")
    assert isinstance(find(root, Package(root / "bad.zip")), NoOrigin)
    assert isinstance(find(root, Package(root / "missing")), NoOrigin)


def test_what_lies_beside_the_code_does_no_harm(root: Path) -> None:
    """Tests that the package leaves out, caches, and files that are none of Python's."""
    package = packaged(root / "lambdas/orders")
    write(root / "lambdas/orders", {"tests/test_it.py": "1", "README.md": "", ".venv/x.py": "2"})
    assert find(root, package) == root / "lambdas/orders"


def test_an_edited_folder_is_found_all_the_same(root: Path) -> None:
    orders, billing = (
        packaged(root / f"lambdas/{x}", n) for n, x in enumerate(["orders", "billing"])
    )
    edit(root / "lambdas/orders")
    assert find(root, orders, billing) == root / "lambdas/orders"
    assert find(root, billing, orders) == root / "lambdas/billing"


def test_an_edited_folder_that_the_project_does_not_speak_of_is_not_taken(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    edit(root / "lambdas/orders")
    billing = packaged(root / "lambdas/billing", 1)
    finder = OriginFinder([root], [package, billing])
    assert isinstance(finder.find(package, "app.handler"), NoOrigin)


def test_edited_folders_that_are_too_much_alike_are_none(root: Path) -> None:
    orders, billing = (
        packaged(root / f"lambdas/{x}", n) for n, x in enumerate(["orders", "billing"])
    )
    for what in ("orders", "billing"):
        edit(root / "lambdas" / what)
    assert isinstance(find(root, orders, billing), NoOrigin)


def test_equal_folders_are_none_of_them_the_origin(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    shutil.copytree(root / "lambdas/orders", root / "lambdas/copy")
    found = find(root, package)
    assert isinstance(found, NoOrigin)
    assert "lambdas/copy or " in found.reason


def test_the_only_equal_folder_is_none_if_an_edited_one_was_equal_too(root: Path) -> None:
    """As where two functions began as the same boilerplate: the tool made one package of both."""
    package = packaged(root / "lambdas/orders")
    shutil.copytree(root / "lambdas/orders", root / "lambdas/users")
    edit(root / "lambdas/orders")
    found = find(root, package)
    assert isinstance(found, NoOrigin)
    assert f"it may also be from {root / 'lambdas/orders'}" in found.reason


def test_nor_is_it_if_two_packages_are_equal_to_it(root: Path) -> None:
    orders = packaged(root / "lambdas/orders")
    users = packaged(shutil.copytree(root / "lambdas/orders", root / "lambdas/users"), 1)
    (root / "lambdas/orders/app.py").write_text("import another\n")
    for one, other in ((orders, users), (users, orders)):
        found = find(root, one, other)
        assert isinstance(found, NoOrigin)
        assert "another copy with the same files" in found.reason


def test_a_folder_that_is_gone_is_not_replaced_by_the_one_beside_it(root: Path) -> None:
    orders, billing = (
        packaged(root / f"lambdas/{x}", n) for n, x in enumerate(["orders", "billing"])
    )
    shutil.rmtree(root / "lambdas/orders")
    assert isinstance(find(root, orders, billing), NoOrigin)
    edit(root / "lambdas/billing")
    assert isinstance(find(root, orders, billing), NoOrigin)


def test_a_build_has_put_dependencies_beside_the_code(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    write(package.path, {"requests/__init__.py": "x", "requests/app.py": "y"})
    assert find(root, Package(package.path, is_bundled=True)) == root / "lambdas/orders"
    edit(root / "lambdas/orders")
    billing = packaged(root / "lambdas/billing", 1)
    assert find(root, Package(package.path, is_bundled=True), billing) == root / "lambdas/orders"


def test_the_same_code_that_was_installed_or_built_does_not_count(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    for name in ("node_modules/x", "build/orders", ".aws-sam/build/Orders", "cdk.out/asset.1", "v"):
        shutil.copytree(root / "lambdas/orders", root / name)
    (root / "v" / "pyvenv.cfg").touch()
    shutil.move(root / "v", root / "lambdas" / "v")
    assert find(root, package) == root / "lambdas/orders"


def test_a_handler_in_a_package_and_by_a_path(root: Path) -> None:
    write(root / "service", {"src/users.py": "def create(): pass", "src/jobs/__init__.py": "x = 1"})
    package = packaged(root / "service/src").path.parent  # cdk.out beside it
    whole = Package(shutil.copytree(root / "service", package / "whole"))
    finder = OriginFinder([root])
    for handler in ("src/users.create", "src.users.create", "src.jobs.run"):
        assert finder.find(whole, handler) == root / "service"
    assert isinstance(finder.find(whole, "nowhere.run"), NoOrigin)


def test_code_outside_of_the_project_is_found_in_the_repository(root: Path) -> None:
    package = packaged(root / "lambdas/orders")
    infra = write(root / "infra", {"app.py": "import aws_cdk"})
    assert isinstance(OriginFinder([infra]).find(package, "app.handler"), NoOrigin)
    assert OriginFinder([infra, root]).find(package, "app.handler") == root / "lambdas/orders"
    write(infra / "orders", {"app.py": (root / "lambdas/orders/app.py").read_text()})
    assert OriginFinder([infra, root]).find(package, "app.handler") == infra / "orders"


def test_a_layer_has_no_handler(root: Path) -> None:
    write(root / "layers/common", {"python/common/__init__.py": "X = 1", "python/common/y.py": "2"})
    layer = Package(shutil.copytree(root / "layers/common", root / "cdk.out/asset.9"))
    assert OriginFinder([root]).find(layer) == root / "layers/common"
    installed = Package(write(root / "cdk.out/asset.8", {"python/requests/__init__.py": "z"}))
    assert isinstance(OriginFinder([root]).find(installed), NoOrigin)


SOURCE_TEXTS = st.lists(
    st.sampled_from(["import os", "x = 1", "def handler(e, c):", "    return 1", "    return 2"]),
    min_size=1,
    max_size=8,
).map("\n".join)


@given(
    deployed=st.dictionaries(st.sampled_from("abcd"), SOURCE_TEXTS, min_size=2).filter(
        lambda texts: len({*texts.values()}) == len(texts)
    ),
    edited=st.dictionaries(st.sampled_from("abcd"), SOURCE_TEXTS),
    gone=st.sets(st.sampled_from("abcd")),
)
def test_code_of_another_function_is_never_taken(
    tmp_path_factory: pytest.TempPathFactory,
    deployed: dict[str, str],
    edited: dict[str, str],
    gone: set[str],
) -> None:
    """Whatever was edited or deleted since, each package has its own folder or none. Only a folder
    that became just what another one was is taken for that.
    """
    root = tmp_path_factory.mktemp("project")
    packages = {}
    for name, text in deployed.items():
        write(root / name, {"app.py": text})
        packages[name] = Package(write(root / "cdk.out" / name, {"app.py": text}))
    for name in edited.keys() & deployed.keys():
        if edited[name] not in deployed.values():
            write(root / name, {"app.py": edited[name]})
    for name in gone & deployed.keys():
        shutil.rmtree(root / name)
    finder = OriginFinder([root], list(packages.values()), is_named=lambda folder: True)

    found = {name: finder.find(package, "app.handler") for name, package in packages.items()}
    assert all(
        isinstance(origin, NoOrigin) or origin == root / name for name, origin in found.items()
    )


def test_what_an_archive_has_not_counts_as_empty(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        archive.writestr("app.py", "x = 1")
    package = Package(tmp_path / "package.zip")
    assert (package.read("app.py"), package.read("gone.py")) == (b"x = 1", b"")


def test_what_a_build_leaves_out_besides_it_adds(root: Path) -> None:
    """Of a folder with tests, a script makes a package without them and with dependencies."""
    write(root / "lambdas/orders", {"tests/test_it.py": "1", "setup.py": "2", "helper.py": "3"})
    built = {"app.py": HANDLER.format(what="orders"), "helper.py": "3", "package/__init__.py": ""}
    package = Package(write(root / "build", built), is_bundled=True)
    assert find(root, package) == root / "lambdas/orders"
    write(root / "lambdas/orders", {"more.py": "4"})
    assert isinstance(OriginFinder([root], [package]).find(package, "app.handler"), NoOrigin)

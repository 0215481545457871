"""Each child has the credentials of the function whose invocation it runs, and only meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.credentials import Credentials
from plldb.debugger.children.credential_server import CredentialServer, Grant
from plldb.debugger.children.invoker import Invoker, Outcome
from plldb.debugger.children.local_function import Debugpy
from plldb.debugger.children.role_lender import Identity, RoleLender
from tests.unit.debugger.children.test_credential_server import get
from tests.unit.debugger.local_code import (
    CONTEXT,
    Project,
    error,
    processes_in,
    value,
)
from tests.unit.polling import poll

NONE = "none before or after it"
# A client that a module keeps, as most do: it looks for credentials when it is made.
KEPT = """
    import boto3

    session = boto3.Session()
    client = session.client("sts")

    def handler(event, context):
        frozen = session.get_credentials().get_frozen_credentials()
        return [frozen.access_key, frozen.secret_key, frozen.token]
"""


def role(name: str) -> Credentials:
    return Credentials(f"ID-{name}", f"secret-{name}", f"token-{name}")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "code").mkdir()
    yield Project(tmp_path / "code")
    assert processes_in(tmp_path / "code") == []


@pytest.fixture
def lender() -> Iterator[RoleLender]:
    with CredentialServer() as server:
        yield RoleLender(server, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})


def invoke(invoker: Invoker, project: Project, name: str | None, event: str = "0") -> Any:
    credentials = None if name is None else role(name)
    return invoker.invoke(
        project.function(as_function=True), event, CONTEXT, time.time() + 60, credentials
    )


TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


def ask(identity: Identity) -> Any:
    """Status and body of what the child gets."""
    return get(Grant(identity.environment[URI], identity.environment[TOKEN]))


class TestLentRole:
    def test_what_is_lent_is_there_until_it_is_taken_back(self, lender: RoleLender) -> None:
        role_of = lender.lend_role()
        assert NONE in str(ask(role_of))
        role_of.lend(role("a"))
        assert ask(role_of)[1]["AccessKeyId"] == "ID-a"
        role_of.take_back()
        assert NONE in str(ask(role_of))
        role_of.lend(role("b"))
        assert ask(role_of)[1]["SecretAccessKey"] == "secret-b"
        role_of.close()
        assert ask(role_of)[0] == 401

    def test_each_has_a_token_of_its_own_and_leads_to_the_target(self, lender: RoleLender) -> None:
        one, other = lender.lend_role(), lender.lend_role()
        assert set(one.environment) == set(other.environment) == {TOKEN, URI, "AWS_ENDPOINT_URL"}
        assert one.environment[TOKEN] != other.environment[TOKEN]

    def test_it_was_missed_by_who_asked_before_there_was_any(self, lender: RoleLender) -> None:
        early, late = lender.lend_role(), lender.lend_role()
        ask(early)
        late.lend(role("a"))
        late.take_back()
        ask(late)
        assert (early.was_missed, late.was_missed) == (True, False)

    def test_python_shows_none_of_it(self, lender: RoleLender) -> None:
        role_of = lender.lend_role()
        role_of.lend(role("a"))
        assert "secret" not in f"{role_of} {vars(role_of)}"


class TestChildren:
    """With the real SDK in real processes."""

    def run(
        self,
        project: Project,
        lender: RoleLender,
        work: Callable[[Invoker], Awaitable[Any]],
        **options: Any,
    ) -> Any:
        return project.run(work, lender=lender, **options)

    def test_a_client_that_a_module_keeps_has_those_of_each_invocation(
        self, project: Project, lender: RoleLender
    ) -> None:
        project.write(KEPT.replace("return [", "import os\n        return [os.getpid(), "))

        async def work(invoker: Invoker) -> list[Any]:
            return [value(await invoke(invoker, project, name)) for name in "aba"]

        pids, *found = zip(*self.run(project, lender, work), strict=True)
        assert len(set(pids)) == 1, "the child stays"
        assert found == [tuple(f"{what}-{n}" for n in "aba") for what in ("ID", "secret", "token")]

    def test_two_at_once_have_one_each(self, project: Project, lender: RoleLender) -> None:
        """Each asks again once the other has begun as well."""
        project.write(
            KEPT.replace("def handler", "import os, time\n\n    def handler").replace(
                "frozen =",
                """open(str(event), "w").close()
        while not os.path.exists(str(1 - event)):
            time.sleep(0.01)
        frozen =""",
            )
        )

        async def work(invoker: Invoker) -> list[Outcome]:
            both = (invoke(invoker, project, name, event) for name, event in ("a0", "b1"))
            return await asyncio.gather(*both)

        found = [value(outcome)[0] for outcome in self.run(project, lender, work)]
        assert found == ["ID-a", "ID-b"]

    def test_an_import_that_asks_is_left_to_the_first_invocation(
        self, project: Project, lender: RoleLender
    ) -> None:
        """It is not failed, as on Lambda it would not be, and nobody waits for the SDK's tries."""
        project.write(KEPT)

        async def work(invoker: Invoker) -> Any:
            async with asyncio.timeout(60):
                await invoker.prepare(project.function(as_function=True))
            return value(await invoke(invoker, project, "a"))

        assert self.run(project, lender, work)[0] == "ID-a"
        assert project.lines == []

    def test_a_child_whose_thread_has_asked_too_early_is_not_used(
        self, project: Project, lender: RoleLender
    ) -> None:
        """What becomes of it on Lambda, where the first invocation has come by then."""
        project.write(
            """
            import os, threading, time
            import boto3

            found = []

            def look():
                while not os.path.exists("go"):
                    time.sleep(0.01)
                try:
                    found.append(boto3.Session().get_credentials().access_key)
                except Exception:
                    open("refused", "w").close()

            thread = threading.Thread(target=look, daemon=True)
            thread.start()

            def handler(event, context):
                thread.join()
                return found
            """
        )

        async def work(invoker: Invoker) -> Any:
            await invoker.prepare(project.function(as_function=True))
            (project.folder / "go").touch()
            refused = project.folder / "refused"
            await asyncio.to_thread(poll, refused.exists)
            return value(await invoke(invoker, project, "a"))

        assert self.run(project, lender, work) == ["ID-a"]

    def test_also_one_that_makes_do_without(self, project: Project, lender: RoleLender) -> None:
        project.write(
            """
            import boto3
            try:
                client = boto3.client("sts")
            except BaseException:
                client = None

            def handler(event, context):
                return client is not None
            """
        )

        async def work(invoker: Invoker) -> Any:
            await invoker.prepare(project.function(as_function=True))
            return value(await invoke(invoker, project, "a"))

        assert self.run(project, lender, work) is True

    def test_one_that_does_not_is_ready_and_an_error_in_it_is_found(
        self, project: Project, lender: RoleLender
    ) -> None:
        project.write("print('imported')\ndef handler(event, context): return event")

        async def work(invoker: Invoker) -> Any:
            await invoker.prepare(project.function(as_function=True))
            before = [*project.output()]
            return before, value(await invoke(invoker, project, "a"))

        assert self.run(project, lender, work) == (["imported"], 0)
        assert project.output() == ["imported"], "once"

    def test_an_editor_sees_no_import_fail(self, project: Project, lender: RoleLender) -> None:
        project.write(KEPT)

        async def work(invoker: Invoker) -> Any:
            await invoker.prepare(project.function(as_function=True))
            return value(await invoke(invoker, project, "a"))

        assert self.run(project, lender, work, debug=Debugpy(port=56780))[0] == "ID-a"
        assert not [line for line in project.lines if "CredentialRetrievalError" in line[2]]

    def test_beside_it_others_are_the_developers(
        self, project: Project, lender: RoleLender
    ) -> None:
        """And what those have for good is in no other child's environment."""
        project.write(KEPT.replace("return [", "import os\n        return [dict(os.environ), "))
        mine = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine"}

        async def work(invoker: Invoker) -> list[Any]:
            other = project.function(logical_id="Other")
            both = (
                invoke(invoker, project, "a"),
                invoker.invoke(other, "0", CONTEXT, time.time() + 60),
            )
            return [value(outcome) for outcome in await asyncio.gather(*both)]

        (environ, *found), (_, *others) = self.run(project, lender, work, credentials=mine)
        assert found == ["ID-a", "secret-a", "token-a"]
        assert others == ["mine", "mine", None]
        assert "mine" not in environ.values()
        assert environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"

    def test_without_any_the_code_has_nobody_elses(
        self, project: Project, lender: RoleLender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "mine")
        project.write(KEPT)

        async def work(invoker: Invoker) -> Outcome:
            return await invoke(invoker, project, None)

        found = error(self.run(project, lender, work))
        assert found["errorType"] == "CredentialRetrievalError"
        assert NONE in found["errorMessage"]

    def test_what_goes_on_after_an_invocation_gets_none(
        self, project: Project, lender: RoleLender
    ) -> None:
        """Until the next one: its thread is of the same process."""
        project.write(
            """
            import os, threading, time
            import boto3

            session = boto3.Session()

            def ask():
                while not os.path.exists("over"):
                    time.sleep(0.01)
                try:
                    told = session.get_credentials().get_frozen_credentials().access_key
                except Exception as error:
                    told = str(error)
                with open("half", "w") as file:
                    file.write(told)
                os.rename("half", "told")

            def handler(event, context):
                session.get_credentials()
                threading.Thread(target=ask, daemon=True).start()
            """
        )

        async def work(invoker: Invoker) -> None:
            value(await invoke(invoker, project, "a"))
            (project.folder / "over").touch()
            told = project.folder / "told"
            await asyncio.to_thread(poll, told.exists)

        self.run(project, lender, work)
        assert NONE in (project.folder / "told").read_text()

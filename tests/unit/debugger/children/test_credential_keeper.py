"""Valid credentials are at hand, as long as there are any, and a failure is told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from plldb.credentials import Credentials
from plldb.debugger.children.credential_keeper import CredentialKeeper
from plldb.errors import CredentialsError, PlldbError
from tests.unit.polling import poll


@dataclass
class Source:
    """Gives new credentials each time; ``lifetime`` is in seconds, None for no known end."""

    lifetime: float | None
    token: str = "token"
    problem: PlldbError | None = None
    loads: int = 0
    reports: list[str | None] = field(default_factory=list)
    wait: Callable[[], object] = lambda: None

    def load(self) -> Credentials:
        self.wait()
        if self.problem is not None:
            raise self.problem
        self.loads += 1
        end = None if self.lifetime is None else time.time() + self.lifetime
        return Credentials(f"ID-{self.loads}", "secret", self.token, end)

    def report(self, problem: PlldbError | None) -> None:
        self.reports.append(problem and problem.message)

    def keeper(self) -> CredentialKeeper:
        return CredentialKeeper(self.load, self.report)


def expired(reason: str = "over") -> CredentialsError:
    return CredentialsError(reason, "Log in.")


def test_it_loads_them_at_once_and_raises_why_it_can_not() -> None:
    with pytest.raises(CredentialsError, match="over"):
        Source(3600, problem=expired()).keeper()


@pytest.mark.parametrize("lifetime", [3600, None])
def test_what_is_valid_is_not_loaded_again(lifetime: float | None) -> None:
    source = Source(lifetime)
    with source.keeper() as keeper:
        assert {keeper.current().access_key_id for _ in range(100)} == {"ID-1"}
    assert source.loads == 1


def test_they_are_renewed_ahead_of_their_end_without_anybody_who_asks() -> None:
    source = Source(2)
    with source.keeper() as keeper:
        end = keeper.current().expires_at
        assert end is not None
        poll(lambda: source.loads >= 3)
        assert time.time() < end + 2
        assert keeper.current().access_key_id != "ID-1"


def test_it_stops_at_its_end() -> None:
    source = Source(0.2)
    with source.keeper():
        pass
    loads = source.loads
    poll(lambda: not [t for t in threading.enumerate() if t.name == "renewal"])
    assert source.loads <= loads + 1


def test_a_failure_is_told_once_and_harms_nobody_before_their_end() -> None:
    source = Source(3)
    with source.keeper() as keeper:
        source.problem = expired()
        poll(lambda: bool(source.reports))
        assert keeper.current().access_key_id == "ID-1"
        poll(lambda: time.time() > (keeper._kept.expires_at or 0))
        for _ in range(5):
            with pytest.raises(CredentialsError, match="over"):
                keeper.current()
        assert source.reports == ["over"]


def test_after_a_login_it_goes_on_by_itself() -> None:
    source = Source(0.3)
    with source.keeper() as keeper:
        source.problem = expired()
        poll(lambda: source.reports == ["over"])
        source.problem = expired("another reason")

        def fails_for_another_reason() -> bool:
            with pytest.raises(CredentialsError) as raised:
                keeper.current()
            return raised.value.message == "another reason"

        poll(lambda: time.time() > (keeper._kept.expires_at or 0))
        poll(fails_for_another_reason)
        source.problem, source.lifetime = None, 3600

        def works() -> bool:
            try:
                return keeper.current().access_key_id == f"ID-{source.loads}"
            except CredentialsError:
                return False

        poll(works)
    assert source.reports == ["over", "another reason", None]


def test_whoever_waits_for_long_is_told_why() -> None:
    """An SDK gives up after 2 seconds, so the second one that asks gets an answer before that."""
    source, typed = Source(0.3), threading.Event()
    with source.keeper() as keeper:
        source.wait = lambda: typed.wait(30)
        poll(lambda: time.time() > (keeper._kept.expires_at or 0))
        with pytest.raises(CredentialsError, match="being renewed"):
            keeper.current()
        source.lifetime = 3600
        typed.set()
        poll(lambda: source.loads == 2)
        assert keeper.current().access_key_id == "ID-2"

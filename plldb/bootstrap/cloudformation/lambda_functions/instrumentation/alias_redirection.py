"""Aliases, whose callers get a published version and never ``$LATEST``.

A version is published of the redirected function, and the alias points to it until restore::

    mark $LATEST → publish → point the aliases → unmark $LATEST
                             point them back → delete the version

Versions are immutable, so the mark in one is its undo for ever: which aliases point to it, and
where they pointed before. ``$LATEST`` has the mark for a moment only: a version that somebody else
publishes meanwhile is none of plldb's. Each step leaves something that is found again, from which
everything can be undone. A version is deleted only when nothing points to it, which Lambda itself
sees to: https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from ..shared import constants
from .control_plane import (
    LATEST,
    Alias,
    ChangeRefusedError,
    ControlPlane,
    DeniedError,
    Found,
    GoneError,
)
from .redirect import FunctionConfiguration, find_lack_of_room

# How often a function is looked at again because somebody else changed it in between.
_ATTEMPTS = 5


@dataclass(frozen=True)
class PublishedVersion:
    """A version that plldb published. ``undo`` is where each alias pointed before."""

    number: str
    configuration: FunctionConfiguration
    undo: dict[str, str]

    @classmethod
    def from_lambda(cls, found: Found) -> PublishedVersion | None:
        """None for a version of somebody else's."""
        configuration = FunctionConfiguration.from_lambda(found)
        mark = configuration.variables.get(constants.ALIASES)
        if mark is None or not configuration.runs_shim or found["Version"] == LATEST:
            return None
        return cls(str(found["Version"]), configuration, dict(json.loads(mark)))


@dataclass(frozen=True)
class TakenAliases:
    """The ``names`` of those that point to plldb's version, and what is to be told of the others.

    ``is_marked``: ``$LATEST`` was marked on the way, and has another revision after that.
    """

    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_marked: bool = False


@dataclass(frozen=True)
class GivenBack:
    """Whether anything was restored, and what is to be told of what was left as it is."""

    is_restored: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class AliasWish:
    """Whether aliases are wished for, also where others call ``$LATEST`` (``always``).

    ``is_direct`` finds out whether somebody does so. ``is_own`` says whether a configuration is
    held by the session already, ``find_holder`` who else holds it, if it is not to be taken.
    ``announce`` is called with the name of the hold before a version is published.
    """

    always: bool
    is_direct: Callable[[], bool]
    is_own: Callable[[FunctionConfiguration], bool]
    find_holder: Callable[[FunctionConfiguration], str | None]
    announce: Callable[[str], None]


def take_aliases(name: str, wish: AliasWish, plane: ControlPlane) -> TakenAliases:
    """Lets a function's aliases invoke what ``$LATEST`` is now, redirected to a session.

    Raises GoneError or ChangeRefusedError; what was done until then is restored with the session.
    """
    aliases = [alias for alias in plane.aliases(name) if alias.version != LATEST]
    if not aliases:
        return TakenAliases()
    provisioned = plane.provisioned(name)
    for _ in range(_ATTEMPTS):
        taken = _try_to_take(name, aliases, provisioned, wish, plane)
        if taken is not None:
            return taken
        aliases = [alias for alias in plane.aliases(name) if alias.version != LATEST]
    raise ChangeRefusedError("somebody else keeps changing its aliases")


def _try_to_take(
    name: str,
    aliases: list[Alias],
    provisioned: set[str],
    wish: AliasWish,
    plane: ControlPlane,
) -> TakenAliases | None:
    """None if it is to be tried again, since something has changed in between."""
    latest = plane.get(name)
    current = FunctionConfiguration.from_lambda(latest)
    if not current.runs_shim or not wish.is_own(current):
        # It was restored, taken or deployed again, or has another handler by now. A version of that
        # would be none of plldb's, and whoever restores would not know it.
        return TakenAliases()
    versions = {alias.version: plane.version(name, alias.version) for alias in aliases}
    ours = {number: PublishedVersion.from_lambda(found) for number, found in versions.items()}
    is_undone = False
    taken: list[str] = []
    wanted: list[Alias] = []
    warnings: list[str] = []
    for alias in aliases:
        published = ours[alias.version]
        if published is not None and wish.is_own(published.configuration):
            taken.append(alias.name)
            continue
        holder = wish.find_holder(published.configuration) if published else None
        reason = f"it is held by {holder}" if holder else None
        if reason is None and published is not None:
            # What a session left that is over, or that loses the function.
            given_back = _give_back(name, published, plane)
            is_undone |= given_back.is_restored
            warnings += given_back.warnings
            continue
        reason = reason or find_obstacle_of_alias(
            alias, versions[alias.version], latest, provisioned
        )
        if reason is None:
            wanted.append(alias)
        else:
            warnings.append(_explain(alias, reason))
    if is_undone:
        return None
    if wanted and not wish.always and wish.is_direct():
        warnings += [_explain(alias, _NOT_BY_ITSELF) for alias in wanted]
        wanted = []
    if not wanted:
        return TakenAliases(tuple(taken), tuple(warnings))
    if not _publish_and_point(name, latest, wanted, wish, plane):
        return None
    names = sorted([*taken, *(alias.name for alias in wanted)])
    return TakenAliases(tuple(names), tuple(warnings), is_marked=True)


_NOT_BY_ITSELF = (
    "others call the function without an alias, so this may be production; to debug it, too: "
    "--aliases"
)


def _explain(alias: Alias, reason: str) -> str:
    return f"alias {alias.name} invokes version {alias.version}, which is not debugged: {reason}"


def find_obstacle_of_alias(
    alias: Alias, version: Found, latest: Found, provisioned: Collection[str]
) -> str | None:
    """Why an alias can't point to a version of plldb's, and the way out; None if it can.

    ``provisioned`` are the aliases and versions with provisioned concurrency.
    """
    if alias.weights:
        return "it shares its calls with another version; debug it once that is over"
    if {alias.name, alias.version} & {*provisioned}:
        return "it has provisioned concurrency, which would be lost; take that off for a while"
    for found in (version, latest):
        if (found.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
            return "the function has SnapStart; switch that off for a while"
    if version.get("CodeSha256") != latest.get("CodeSha256"):
        return "the version has other code than $LATEST; deploy the function, and publish that"
    return None


def _publish_and_point(
    name: str, latest: Found, aliases: list[Alias], wish: AliasWish, plane: ControlPlane
) -> bool:
    """False, and nothing is left of it, if anything has changed in between."""
    current = FunctionConfiguration.from_lambda(latest)
    mark = json.dumps({alias.name: alias.version for alias in aliases})
    marked = replace(current, variables=current.variables | {constants.ALIASES: mark})
    if lack := find_lack_of_room(marked):
        raise ChangeRefusedError(lack)
    wish.announce(current.holder or "")
    changed = plane.update(name, latest["RevisionId"], current.changes(marked))
    if changed is None:
        return False
    present = FunctionConfiguration.from_lambda(changed)
    if not present.runs_shim or present.variables.get(constants.ALIASES) != mark:
        # Somebody has changed it since. A version of that would not be known.
        _unmark(name, plane)
        return False
    number: str | None = None

    def undo() -> None:
        if number is not None:
            _give_back(name, PublishedVersion(number, marked, json.loads(mark)), plane)

    try:
        number = plane.publish(name, changed["RevisionId"], latest.get("CodeSha256"))
        is_done = number is not None
        if number is not None:
            for alias in aliases:
                is_done &= plane.point(name, alias, number)
    except ChangeRefusedError:
        # As far as that works; the rest is undone with the session.
        with suppress(ChangeRefusedError, GoneError):
            _unmark(name, plane)
            undo()
        raise
    _unmark(name, plane)
    if not is_done:
        undo()
    return is_done


def _unmark(name: str, plane: ControlPlane) -> None:
    for _ in range(_ATTEMPTS):
        found = plane.get(name)
        current = FunctionConfiguration.from_lambda(found)
        variables = {n: v for n, v in current.variables.items() if n != constants.ALIASES}
        changes = current.changes(replace(current, variables=variables))
        if not changes or plane.update(name, found["RevisionId"], changes) is not None:
            return
    raise ChangeRefusedError("somebody else keeps changing it")


# --- Back -----------------------------------------------------------------------------------------


def give_aliases_back(name: str, holds: Collection[str] | None, plane: ControlPlane) -> GivenBack:
    """Undoes all that versions of these holds say, or all versions of plldb's, and deletes them.

    Raises ChangeRefusedError at the end, if anything was refused. A function that is gone has none.
    """
    done, refusals = GivenBack(), []
    try:
        versions = [PublishedVersion.from_lambda(found) for found in plane.versions(name)]
        for version in versions:
            if version and (holds is None or version.configuration.holder in holds):
                try:
                    one = _give_back(name, version, plane)
                except ChangeRefusedError as error:
                    refusals.append(str(error))
                else:
                    warnings = (*done.warnings, *one.warnings)
                    done = GivenBack(done.is_restored or one.is_restored, warnings)
    except GoneError:
        return GivenBack()
    if refusals:
        raise ChangeRefusedError("; ".join(refusals))
    return done


def _give_back(name: str, version: PublishedVersion, plane: ControlPlane) -> GivenBack:
    is_restored = False
    for _ in range(_ATTEMPTS):
        aliases = plane.aliases(name)
        pointing = [alias for alias in aliases if alias.version == version.number]
        back = [alias for alias in pointing if alias.name in version.undo]
        moved = _point_back(name, back, version, plane)
        is_restored |= any(moved)
        if all(moved):
            break
    else:
        raise ChangeRefusedError("somebody else keeps changing its aliases")
    warnings = [
        f"alias {alias.name} was pointed to version {alias.version} meanwhile, and is left there"
        for alias in aliases
        if alias.name in version.undo
        and alias.version not in (version.number, version.undo[alias.name])
    ]
    users = sorted(
        alias.name
        for alias in aliases
        if (alias in pointing and alias not in back) or version.number in alias.weights
    )
    if users:
        left = (
            f"version {version.number} is plldb's, and stays while alias {', '.join(users)} "
            "invokes it: point that elsewhere, then: plldb restore"
        )
        return GivenBack(is_restored, (*warnings, left))
    try:
        plane.delete_version(name, version.number)
    except DeniedError as error:
        # Nobody calls it. Tags of a function, by which it may be allowed, are none of a version's.
        left = f"version {version.number} is plldb's, and could not be deleted: {error}"
        return GivenBack(is_restored, (*warnings, left))
    return GivenBack(True, tuple(warnings))


def _point_back(
    name: str, aliases: list[Alias], version: PublishedVersion, plane: ControlPlane
) -> list[bool]:
    """Of each, whether it was still as it was just read: what somebody moves is looked at again.

    Raises ChangeRefusedError once all were tried.
    """
    moved: list[bool] = []
    refusals: list[str] = []
    for alias in aliases:
        try:
            moved.append(plane.point(name, alias, version.undo[alias.name]))
        except ChangeRefusedError as error:
            refusals.append(str(error))
    if refusals:
        raise ChangeRefusedError("; ".join(refusals))
    return moved

"""Secrets are masked before a recording is written: by the keys that they lie under, by how they
look, and wherever else a value appears that lay under such a key.

Too much rather than too little: a recording is committed and shared.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MASK = "***masked***"

# Parts of keys, in whatever case and with whatever between their words: DB_PASSWORD, x-api-key.
SECRET_KEYS = (
    "accesskey",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "otp",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "signature",
    "token",
)
# Short ones are parts of too many words.
_WHOLE_KEYS = ("otp", "pwd")
# A number under such a key counts something: maxTokens.
_COUNTS = re.compile(r"tokens$")
# A shorter value is too common to be masked wherever else it appears.
_SHORTEST_ELSEWHERE = 8
# Keys of which it is known whether they are secret.
_REMEMBERED = 10_000
# In header lines and the like, there is the kind of credentials before them.
_SCHEME = r"(?:(?:bearer|basic|digest|negotiate|apikey|token)\s+)?"
# A quoted one may have been cut off.
_VALUE = (
    r"\"(?:[^\"\\]|\\.)*(?:\"|\Z)|'(?:[^'\\]|\\.)*(?:'|\Z)"
    rf"|{_SCHEME}[^\s\"'\\&,;}})\]]+"
)

_PATTERNS = (
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    # A JSON web token: https://www.rfc-editor.org/rfc/rfc7519
    r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*",
    # https://www.rfc-editor.org/rfc/rfc7468
    r"-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\Z)",
    # https://www.rfc-editor.org/rfc/rfc6750
    r"(?i)(?<=\bbearer )\s*[\w.~+/=-]{4,}",
    # The value of a header.
    r"(?i)\A(?:basic|digest|negotiate) \S.*\Z",
    # The password in a URL.
    r"(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)",
    # Of GitHub, Slack and Stripe.
    r"\bgh[pousr]_\w{20,}",
    r"\bxox[abeprs]-[\w-]{10,}",
    r"\b[rs]k_(?:live|test)_\w{10,}",
)
# Values in lists of pairs, as HTTP headers and tags come.
_PAIR_KEYS = ("name", "key", "Name", "Key")
_PAIR_VALUES = ("value", "Value", "values", "Values")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")


class Masks:
    """``more`` are further parts of keys, or patterns between slashes: "ssn", "/[0-9]{16}/".

    Raises re.error for a pattern that is none.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        more = [*more]
        patterns = [one[1:-1] for one in more if is_pattern(one)]
        words = [_normalize(one) for one in more if not is_pattern(one)]
        self._words = tuple(w for w in (*SECRET_KEYS, *words) if w and w not in _WHOLE_KEYS)
        self._patterns = [re.compile(one) for one in (*_PATTERNS, *patterns)]
        spelled = "|".join(r"[\W_]?".join(map(re.escape, word)) for word in self._words)
        # It begins with the word, and what repeats has a limit: a text of megabytes takes no longer
        # than it is long.
        self._assignment = re.compile(
            rf"(?i)((?:{spelled}|\b(?:{'|'.join(_WHOLE_KEYS)})\b)[\w.%-]{{0,64}}(?:\\{{0,8}}[\"'])?\]?"
            rf"\s{{0,8}}(?:=>|=|:)\s{{0,8}}\\{{0,8}})({_VALUE})"
        )
        self._known: dict[str, bool] = {}

    def apply(self, value: Any) -> Any:
        """The JSON value without secrets, however deeply it is nested."""
        found = {one for one in self._find(value) if len(one) >= _SHORTEST_ELSEWHERE}
        # A longer one may hold a shorter one.
        return self._mask(value, sorted(found - {MASK}, key=len, reverse=True))

    def is_secret_key(self, key: str) -> bool:
        if key not in self._known:
            plain = _normalize(key)
            is_secret = plain in _WHOLE_KEYS or any(word in plain for word in self._words)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = is_secret
        return self._known[key]

    # --- What lies under secret keys --------------------------------------------------------------

    def _find(self, value: Any) -> Iterator[str]:
        left = [(value, False)]
        while left:
            value, is_secret = left.pop()
            match value:
                case dict():
                    left += [
                        (one, is_secret or self._holds_secret(value, key))
                        for key, one in value.items()
                    ]
                case list():
                    left += [(one, is_secret) for one in value]
                case str():
                    if is_secret:
                        yield value
                    if (inner := _parse(value)) is not None:
                        left.append((inner, is_secret))
                    elif (text := _decode(value)) is not None:
                        left.append((text, is_secret))

    def _holds_secret(self, members: dict[str, Any], key: str) -> bool:
        """Whether it lies under a secret key, or is the value of a pair that has such a name."""
        if self.is_secret_key(key):
            return True
        names = [members.get(one) for one in _PAIR_KEYS] if key in _PAIR_VALUES else []
        return any(isinstance(name, str) and self.is_secret_key(name) for name in names)

    # --- Without them -----------------------------------------------------------------------------

    def _mask(self, value: Any, elsewhere: Sequence[str]) -> Any:
        return _rebuild(value, lambda one: self._mask_one(one, elsewhere))

    def _mask_one(self, value: Any, elsewhere: Sequence[str]) -> Any:
        match value:
            case dict():
                masked: dict[str, Any] = {}
                for key, one in value.items():
                    name = self._mask_text(key, elsewhere)
                    while name in masked:
                        name += "'"
                    if self._holds_secret(value, key):
                        masked[name] = _Secret(one, _COUNTS.search(_normalize(key)) is not None)
                    else:
                        masked[name] = one
                return masked
            case _Secret():
                return _hide(value)
            case str():
                return self._mask_string(value, elsewhere)
        return value

    def _mask_string(self, text: str, elsewhere: Sequence[str]) -> str:
        inner = _parse(text)
        if inner is not None:
            masked = self._mask(inner, elsewhere)
            # As it was written, unless there is something to hide in it.
            try:
                return text if masked == inner else json.dumps(masked, separators=(",", ":"))
            except RecursionError:
                return MASK
        if (decoded := _decode(text)) is not None:
            masked = self._mask_string(decoded, elsewhere)
            if masked != decoded:
                return base64.b64encode(masked.encode("utf-8", "surrogatepass")).decode()
        return self._mask_text(text, elsewhere)

    def _mask_text(self, text: str, elsewhere: Sequence[str]) -> str:
        for secret in elsewhere:
            text = text.replace(secret, MASK)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return self._assignment.sub(_replace_value, text)


def is_pattern(entry: str) -> bool:
    """Whether an entry of the settings file is a pattern, and no part of keys."""
    return len(entry) > 2 and entry.startswith("/") and entry.endswith("/")


def _replace_value(match: re.Match[str]) -> str:
    value = match[2]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match[1]}{quote}{MASK}{quote}"


def _normalize(key: str) -> str:
    return re.sub(r"[\W_]", "", key).lower()


@dataclass(frozen=True)
class _Secret:
    """A value that lies under a secret key, and may be a count there."""

    value: Any
    is_count: bool


def _hide(secret: _Secret) -> Any:
    """All that is in it is secret, too; only true, false, null and what is empty hide nothing."""
    match secret.value:
        case dict() as members:
            return {key: _Secret(one, secret.is_count) for key, one in members.items()}
        case list() as values:
            return [_Secret(one, secret.is_count) for one in values]
        case None | bool() | "":
            return secret.value
        case int() | float() if secret.is_count:
            return secret.value
    return MASK


def _rebuild(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same of what ``change`` makes of each value, the outer ones first, however deeply they
    are nested.
    """
    whole: list[Any] = [None]
    left: list[tuple[Any, Any, Any]] = [(value, whole, 0)]
    while left:
        one, holder, place = left.pop()
        made = change(one)
        match made:
            case dict():
                holder[place] = dict.fromkeys(made)
                left += [(inner, holder[place], key) for key, inner in made.items()]
            case list():
                holder[place] = [None] * len(made)
                left += [(inner, holder[place], index) for index, inner in enumerate(made)]
            case _:
                holder[place] = made
    return whole[0]


def _parse(text: str) -> Any:
    """The JSON in a string, if it may hold anything; else None."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_keep_all)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list | str) and value else None


def _keep_all(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """With a list of the values of a name that comes again: the last one alone would be all that is
    looked through.
    """
    kept = dict(members)
    if len(kept) == len(members):
        return kept
    counts = Counter(name for name, _ in members)
    kept = {name: [] for name, count in counts.items() if count > 1}
    for name, value in members:
        if counts[name] > 1:
            kept[name].append(value)
        else:
            kept[name] = value
    return kept


def _decode(text: str) -> str | None:
    """The text in a string that is base64, as bodies and records of streams come; else None."""
    if not _BASE64.fullmatch(text) or len(text) % 4:
        return None
    try:
        decoded = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        return decoded.decode()
    except (binascii.Error, ValueError):
        return None

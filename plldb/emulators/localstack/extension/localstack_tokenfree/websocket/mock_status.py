"""Which status a ``MOCK`` integration answers with, by what its request template made."""

import json
import re

# As the CDK and Serverless write it: {statusCode: 200}. AWS reads it.
_UNQUOTED = re.compile(
    r"\{\s*(?:.*,\s*)?['\"]?statusCode['\"]?\s*:\s*['\"]?(\d{3})\b.*\}", re.DOTALL
)
OK = 200


class NoStatusError(Exception):
    """The template gives none."""


def mock_status(text: str) -> int:
    """The ``statusCode`` of ``text``; 200 if there is no text."""
    text = text.strip()
    if not text:
        return OK
    try:
        return int(json.loads(text)["statusCode"])
    except (KeyError, TypeError) as error:
        raise NoStatusError from error
    except ValueError as error:
        loose = _UNQUOTED.fullmatch(text)
        if loose is None:
            raise NoStatusError from error
        return int(loose[1])

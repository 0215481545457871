"""``$util`` and ``$input`` of templates, where LocalStack does something else. Pure functions.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html#util-template-reference
"""

import base64
import re

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OF_MANY = re.compile(r"\.\.|\*|\[\s*\?|\[[^\]]*:")
_URL_SAFE = str.maketrans("-_", "+/")


def decoded_base64(text: str) -> str:
    """The text that ``text`` stands for, as Java decodes it: also without padding, and of the
    alphabet for URLs."""
    padded = text.translate(_URL_SAFE) + "=" * (-len(text) % 4)
    return base64.b64decode(padded).decode(errors="replace")


def with_single_quotes_escaped(text: str) -> str:
    """As JavaScript has them, and JSON has not: templates turn them back by ``replaceAll``."""
    return text.replace("'", "\\'")


def is_of_many(path: str) -> bool:
    """Whether a JSONPath comes to a list of what it finds, however many that are: with wildcards,
    filters, slices and ``..``.

    https://github.com/json-path/JsonPath#what-is-returned-when
    """
    return _OF_MANY.search(_QUOTED.sub("", path)) is not None

"""What ``$util`` does in templates, where LocalStack's engine does something else. Pure functions.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html#util-template-reference
"""

import base64

_URL_SAFE = str.maketrans("-_", "+/")


def decoded_base64(text: str) -> str:
    """The text that ``text`` stands for, as Java decodes it: also without padding, and of the
    alphabet for URLs."""
    padded = text.translate(_URL_SAFE) + "=" * (-len(text) % 4)
    return base64.b64decode(padded).decode(errors="replace")


def with_single_quotes_escaped(text: str) -> str:
    """As JavaScript has them, and JSON has not: templates turn them back by ``replaceAll``."""
    return text.replace("'", "\\'")

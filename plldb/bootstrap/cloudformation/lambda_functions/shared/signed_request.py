"""A request to AWS that one signs and another sends. The developer's machine uses this module too.

It does what it says and nothing else, as long as AWS takes its signature, which is some minutes:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
"""

from __future__ import annotations

from typing import TypedDict


class SignedRequest(TypedDict):
    """What to POST, and where: the body as text."""

    url: str
    headers: dict[str, str]
    body: str

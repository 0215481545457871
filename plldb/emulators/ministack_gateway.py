"""Started as a program: MiniStack, to which connections from this machine are secure ones.

It enforces the policies of buckets, queues and topics, and many of them deny whatever is not
encrypted on its way (``aws:SecureTransport``): those of the CDK's assets, and whatever was made
with ``enforceSSL``. It listens on 127.0.0.1 alone, where nothing is on any way, and speaks http;
without this, nobody could use such resources.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport
"""

from __future__ import annotations

from ministack import app


def _count_as_secure() -> None:
    """Whatever version it is: one that has no such place is left alone."""
    pin = getattr(app, "pin_request_origin", None)
    if pin is not None:
        app.pin_request_origin = lambda source_ip, _: pin(source_ip, True)


if __name__ == "__main__":
    _count_as_secure()
    app.main()

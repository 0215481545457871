"""Started as a program: MiniStack, with what nobody could do without on a machine of one's own.

Connections from this machine are secure ones. MiniStack enforces the policies of buckets, queues
and topics, and many of them deny whatever is not encrypted on its way (``aws:SecureTransport``):
those of the CDK's assets, and whatever was made with ``enforceSSL``. It listens on 127.0.0.1 alone,
where nothing is on any way, and speaks http; without this, nobody could use such resources.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport

A nested stack can be updated. MiniStack forgets the attributes of what stays as it is in one, such
as the ARN of a role, and then fails whatever refers to it.

Whatever version it is: one that has no such place is left alone.
"""

from __future__ import annotations

from typing import Any

from ministack import app
from ministack.services import cloudformation
from ministack.services.cloudformation import provisioners


def _count_as_secure() -> None:
    pin = getattr(app, "pin_request_origin", None)
    if pin is not None:
        app.pin_request_origin = lambda source_ip, _: pin(source_ip, True)


def _keep_attributes() -> None:
    """Of resources that keep their physical id, unless the caller passes them on, as it does for a
    stack that is not nested.
    """
    update = getattr(provisioners, "_update_resource", None)
    stacks = getattr(cloudformation, "_stacks", None)
    if update is None or stacks is None:
        return

    def update_nested(
        kind: str,
        physical_id: str,
        old: Any,
        new: Any,
        stack_name: str,
        logical_id: str | None = None,
        *more: Any,
    ) -> tuple[str, Any]:
        resources = stacks.get(stack_name, {}).get("_resources", {})
        known = resources.get(logical_id, {}).get("Attributes") or {}
        new_id, attributes = update(kind, physical_id, old, new, stack_name, logical_id, *more)
        if new_id == physical_id and not more:
            attributes = {**known, **attributes}
        return new_id, attributes

    provisioners._update_resource = update_nested


if __name__ == "__main__":
    _count_as_secure()
    _keep_attributes()
    app.main()

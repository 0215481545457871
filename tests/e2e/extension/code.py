"""Zips of functions and layers, and a place to put them."""

import io
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .cloud import Cloud


def zipped(**files: str) -> bytes:
    """``a__b`` in a name stands for ``a/b``; every file is a Python module."""
    return zipped_files({f"{name.replace('__', '/')}.py": text for name, text in files.items()})


def zipped_files(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def bucket_with(cloud: Cloud, objects: dict[str, bytes]) -> Iterator[str]:
    """-> a bucket; deleted at the end, with whatever has been put there."""
    s3 = cloud.client("s3", config=None)
    name = f"code-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    try:
        for key, body in objects.items():
            s3.put_object(Bucket=name, Key=key, Body=body)
        yield name
    finally:
        for each in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            s3.delete_object(Bucket=name, Key=each["Key"])
        s3.delete_bucket(Bucket=name)

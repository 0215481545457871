"""Any value is encoded as awslambdaric encodes it, or refused in the same words."""

from __future__ import annotations

import collections
import decimal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.debugger.children.runtime.encoding import to_json

marshaller = pytest.importorskip(
    "awslambdaric.lambda_runtime_marshaller", reason="awslambdaric can be had for Linux only"
)
# The shim looks there to see what runs it: in other tests, that is not Lambda.
for name in [name for name in sys.modules if name.startswith("awslambdaric.")]:
    del sys.modules[name]
app = pytest.importorskip("tests.unit.debugger.lambda_cases.app")

texts = st.text(st.characters(exclude_categories=()))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    texts,
    st.binary(max_size=6),
    st.decimals(),
    st.sampled_from(
        [
            *(app.Size.LARGE, app.Name.ANN, app.Colour.RED, app.Whole(3), app.Seventh(3)),
            *(app.Real(1.5), app.Real("nan"), app.Text("x"), app.Pretending()),
            *(app.Fields(a=1), app.Fields(), app.AsFields(), app.Items([1]), app.Items()),
            *(app.Strange(), app.Demanding(), app.Failing()),
            *(app.Point, set(), object(), bytearray(b"x"), range(2), 10**50),
        ]
    ),
)
keys = st.one_of(
    texts,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=6),
    st.tuples(st.integers()),
    st.decimals(allow_nan=False),
    st.sampled_from([app.Size.LARGE, app.Name.ANN, app.Seventh(3), app.Real(2.5)]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(app.Point, inner, inner),
        st.builds(app.Row, st.dictionaries(texts, inner, max_size=3)),
        st.builds(collections.OrderedDict, st.dictionaries(keys, inner, max_size=3)),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("runtime", ["python3.8", "python3.11", "python3.12", "python3.14", ""])
def test_any_value(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.setenv("AWS_EXECUTION_ENV", f"AWS_Lambda_{runtime}")

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(values)
    def check(value: Any) -> None:
        assert attempt(to_json, value) == attempt(marshaller.to_json, value)

    check()


@pytest.mark.parametrize("depth", [100, 700, 100_000])
@pytest.mark.parametrize("leaf", [1, decimal.Decimal(1)])
def test_as_deep_as_can_be(depth: int, leaf: Any) -> None:
    value = app.nested(depth, leaf)
    assert attempt(to_json, value) == attempt(marshaller.to_json, value)


def attempt(encode: Callable[[Any], str], value: Any) -> Any:
    try:
        return encode(value)
    except Exception as error:  # noqa: BLE001 (of whatever kind)
        return type(error), str(error)

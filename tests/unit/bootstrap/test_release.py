"""A release is data; its fingerprint changes exactly when CloudFormation would see a change."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb import __version__
from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.release import (
    FINGERPRINT_TAG,
    VERSION_TAG,
    Release,
    build_release,
    check_helper_stack_name,
    make_artifacts_prefix,
    make_bucket_name,
)
from plldb.errors import UsageError


def release(
    stack_name: str = "plldb",
    region: str = "us-east-1",
    account_id: str = "1",
    base: str = "",
    **parameters: str,
) -> Release:
    return build_release(
        stack_name=stack_name,
        region=region,
        account_id=account_id,
        execute_api_base_url=base,
        parameters=parameters,
    )


class TestFingerprint:
    def test_nothing_changed(self) -> None:
        assert release().fingerprint == release().fingerprint

    def test_the_order_of_parameters_is_no_change(self) -> None:
        one = release()
        assert (
            replace(one, parameters=dict(reversed(one.parameters.items()))).fingerprint
            == one.fingerprint
        )

    def test_the_template_or_any_parameter_is_one(self) -> None:
        one = release()
        others = [replace(one, template=one.template + "\n")]
        others += [replace(one, parameters=one.parameters | {k: "x"}) for k in one.parameters]
        others += [replace(one, parameters=one.parameters | {"New": "x"})]
        fingerprints = {one.fingerprint, *(other.fingerprint for other in others)}
        assert len(fingerprints) == 1 + len(others)

    def test_the_code_is_one_through_its_key(self) -> None:
        one = release()
        functions, layer = one.artifacts
        assert one.parameters["FunctionsCodeKey"] == functions.key
        assert one.parameters["LayerCodeKey"] == layer.key

    def test_the_layer_puts_the_shim_where_lambda_looks_for_it(self) -> None:
        _, layer = release().artifacts
        names = zipfile.ZipFile(io.BytesIO(layer.body)).namelist()
        assert "python/plldb_shim/__init__.py" in names
        assert all(name.startswith("python/plldb_shim/") for name in names)
        assert "/layer-" in layer.key

    def test_where_functions_find_execute_api_is_one(self) -> None:
        assert release(base="http://h/_aws/execute-api").fingerprint != release().fingerprint

    def test_what_cloudformation_does_not_see_is_none(self) -> None:
        one = release()
        same = replace(one, artifacts=(Artifact(one.artifacts[0].key, b"other"),))
        assert same.fingerprint == one.fingerprint

    def test_it_fits_a_tag_together_with_the_version(self) -> None:
        tags = release().tags
        assert tags == {FINGERPRINT_TAG: release().fingerprint, VERSION_TAG: __version__}
        assert all(len(value) <= 256 for value in tags.values())


class TestParameters:
    def test_those_of_the_settings_are_seen_by_cloudformation(self) -> None:
        assert release(LogRetentionDays="7").parameters["LogRetentionDays"] == "7"
        fingerprints = {release(LogRetentionDays=days).fingerprint for days in ("7", "14")}
        assert len(fingerprints) == 2

    def test_plldbs_own_stay_its_own(self) -> None:
        own = release().parameters
        assert release(**dict.fromkeys(own, "x")).parameters == own

    @pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False)])
    def test_protection_of_the_tables_is_protection_of_the_stack(
        self, value: str, expected: bool
    ) -> None:
        assert release(DeletionProtection=value).is_protected is expected
        assert not release().is_protected


class TestNames:
    def test_the_default_stacks_tables_have_the_plain_names(self) -> None:
        parameters = release().parameters
        assert parameters["SessionsTableName"] == "PLLDBSessions"
        assert parameters["DebuggerTableName"] == "PLLDBDebugger"

    def test_another_stacks_tables_have_its_name(self) -> None:
        parameters = release("mine").parameters
        assert parameters["SessionsTableName"] == "PLLDBSessions-mine"
        assert parameters["DebuggerTableName"] == "PLLDBDebugger-mine"

    def test_all_stacks_share_the_bucket_and_not_its_keys(self) -> None:
        one, two = release("one"), release("two")
        assert one.bucket == two.bucket == make_bucket_name("us-east-1", "1")
        assert not {a.key for a in one.artifacts} & {a.key for a in two.artifacts}
        assert all(a.key.startswith(make_artifacts_prefix("one")) for a in one.artifacts)

    def test_the_bucket_is_named_after_region_and_account(self) -> None:
        assert release(region="eu-west-1", account_id="123456789012").bucket == (
            "plldb-core-infrastructure-eu-west-1-123456789012"
        )

    def test_its_payloads_lie_apart_from_its_artifacts_and_from_others(self) -> None:
        assert release("mine").parameters["PayloadsPrefix"] == "payloads/mine/"
        with pytest.raises(UsageError, match="'payloads'"):
            release("payloads")

    def test_no_stacks_keys_lie_below_those_of_another(self) -> None:
        assert not make_artifacts_prefix("plldb-two").startswith(make_artifacts_prefix("plldb"))

    @given(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,99}", fullmatch=True))
    def test_good_ones(self, name: str) -> None:
        check_helper_stack_name(name)
        # DynamoDB's limit: 255 characters of a-z, A-Z, 0-9, _, - and dot.
        assert len(release(name).parameters["SessionsTableName"]) <= 255

    @given(
        st.text().filter(lambda t: not (t.isascii() and t.replace("-", "").isalnum()))
        | st.from_regex(r"[0-9-][A-Za-z0-9-]*", fullmatch=True)
        | st.from_regex(r"[A-Za-z]{101,200}", fullmatch=True)
        | st.just("plldb\n")
    )
    def test_bad_ones_are_wrong_usage(self, name: str) -> None:
        with pytest.raises(UsageError):
            check_helper_stack_name(name)
        with pytest.raises(UsageError):
            release(name)

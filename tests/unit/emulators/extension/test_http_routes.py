"""Which route of an HTTP API serves a request, and which API a request is for.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.addresses import (
    Address,
    find_address,
    managed_connection,
    split_stage,
)
from localstack_tokenfree.http_api.route_choice import choose_route

# The page's own example, and what follows from its words.
DOCUMENTED = ("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}")
SEGMENTS = st.text("ab%2F é", min_size=1, max_size=4).filter(lambda text: "/" not in text)


def chosen(keys: tuple[str, ...], method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = choose_route({key: {"RouteKey": key} for key in keys}, method, path)
    return match and (match.route["RouteKey"], dict(match.path_parameters))


@pytest.mark.parametrize(
    ("keys", "method", "path", "expected"),
    [
        (DOCUMENTED, "GET", "/pets/dog/1", ("GET /pets/dog/1", {})),
        (DOCUMENTED, "GET", "/pets/dog/2", ("GET /pets/dog/{id}", {"id": "2"})),
        (DOCUMENTED, "GET", "/pets/cat/1", ("GET /pets/{proxy+}", {"proxy": "cat/1"})),
        (DOCUMENTED, "POST", "/test/5", ("ANY /{proxy+}", {"proxy": "test/5"})),
        (DOCUMENTED, "POST", "/pets/dog/1", ("ANY /{proxy+}", {"proxy": "pets/dog/1"})),
        (("ANY /a", "GET /a"), "GET", "/a", ("GET /a", {})),
        (("ANY /a", "GET /a"), "PUT", "/a", ("ANY /a", {})),
        (("GET /a/{proxy+}", "ANY /a/b"), "GET", "/a/b", ("ANY /a/b", {})),
        (("GET /{x}/b", "GET /a/{y}"), "GET", "/a/b", ("GET /a/{y}", {"y": "b"})),
        (("GET /a",), "GET", "/a/", None),
        (("GET /a/{id}",), "GET", "/a/", None),
        (("GET /a/{proxy+}",), "GET", "/a", None),
        (("GET /a/{proxy+}",), "GET", "/a/", ("GET /a/{proxy+}", {"proxy": ""})),
        (("GET /a/{proxy+}",), "GET", "/a/b/", ("GET /a/{proxy+}", {"proxy": "b/"})),
        (("GET /a", "GET /{proxy+}"), "GET", "/a/", ("GET /{proxy+}", {"proxy": "a/"})),
        (("GET /",), "GET", "/", ("GET /", {})),
        (("GET /a",), "POST", "/a", None),
        (("GET /a", "$default"), "POST", "/a", ("$default", {})),
        (("$default", "ANY /{proxy+}"), "GET", "/", ("ANY /{proxy+}", {"proxy": ""})),
        (("GET /", "ANY /{proxy+}"), "GET", "/", ("GET /", {})),
        (("GET /{id}",), "GET", "/a%2Fb", ("GET /{id}", {"id": "a/b"})),
        (("GET /a b",), "GET", "/a%20b", ("GET /a b", {})),
    ],
)
def test_most_specific_route(
    keys: tuple[str, ...], method: str, path: str, expected: tuple[str, dict[str, str]] | None
) -> None:
    assert chosen(keys, method, path) == expected
    assert chosen(tuple(reversed(keys)), method, path) == expected


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.permutations(DOCUMENTED))
def test_order_of_routes_does_not_matter(segments: list[str], keys: list[str]) -> None:
    path = "/" + "/".join(segments)
    assert chosen(tuple(keys), "GET", path) == chosen(DOCUMENTED, "GET", path)


@pytest.mark.parametrize(
    ("host", "path", "address"),
    [
        ("x1.execute-api.eu-west-1.amazonaws.com", "/dev/a", Address("x1", "/dev/a")),
        ("x1.execute-api.eu-west-1.amazonaws.com:443", "/", Address("x1", "/")),
        ("X1.Execute-API.localhost.localstack.cloud:4566", "", Address("x1", "/")),
        ("localhost:4566", "/_aws/execute-api/x1", Address("x1", "/")),
        ("localhost:4566", "/_aws/execute-api/x1/dev/a%2Fb", Address("x1", "/dev/a%2Fb")),
        ("localhost:4566", "/x1", None),
        ("execute-api.eu-west-1.amazonaws.com", "/", None),
        ("vpce-1-2.execute-api.eu-west-1.vpce.amazonaws.com", "/", None),
        ("x1-vpce-2.execute-api.eu-west-1.amazonaws.com", "/", None),
        ("s3.amazonaws.com", "/a.execute-api.b", None),
    ],
)
def test_names_and_paths(host: str, path: str, address: Address | None) -> None:
    assert find_address(host, path) == address


def test_first_part_of_a_path_may_name_a_stage() -> None:
    assert split_stage("/dev/a/b") == ("dev", "/a/b")
    assert split_stage("/dev") == ("dev", "/")
    assert split_stage("/") == ("", "/")
    assert split_stage("/%24default/a%2Fb") == ("$default", "/a%2Fb")


@pytest.mark.parametrize(
    ("method", "path", "connection_id"),
    [
        ("GET", "@connections/a%3D", "a="),
        ("POST", "%40connections/a=", "a="),
        ("DELETE", "@connections/a%2Fb", "a/b"),
        ("PUT", "@connections/a", None),
        ("HEAD", "@connections/a", None),
        ("GET", "@connections", None),
        ("GET", "@connections/a/b", None),
        ("GET", "connections/a", None),
    ],
)
def test_management_of_a_connection(method: str, path: str, connection_id: str | None) -> None:
    assert managed_connection(method, path.split("/")) == connection_id

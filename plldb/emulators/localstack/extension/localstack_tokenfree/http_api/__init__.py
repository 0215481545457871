"""The data plane of HTTP APIs: a request in, a function or a URL behind it, a response out.

``http_request``, ``route_choice``, ``payloads``, ``answers``, ``cors``, ``http_expressions``,
``parameter_mapping``, ``service_operations`` and ``jwt_claims`` do no I/O and need no LocalStack.
``outgoing`` sends requests, ``signing_keys`` reads an issuer's keys, ``http_authorization`` asks
authorizers, ``http_integrations`` calls what is behind a route, ``service_answers`` has what
services say, and ``http_gateway`` puts them together.
"""

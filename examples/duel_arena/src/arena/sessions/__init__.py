"""Sessions that the server keeps: a cookie has the id, a table of DynamoDB has the rest.

``middleware`` puts them in ``request.session``, as Starlette's own does with those in its cookie;
``stores`` keeps them.
"""

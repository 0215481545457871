"""Everything that runs in the helper stack; on AWS the package's name is ``lambda_functions``.

::

    entry         composition root: makes the clients once, names the handlers
    management    REST operations                 ┐
    authorizer    who may connect                 │ pure functions of (event, store, clock)
    connection    $connect and $disconnect        │
    message       what a debugger sends           ┘
    sessions      the session, its states and its store's interface
    dynamodb      the store on DynamoDB           memory    the store in memory
    connections   posting to a WebSocket connection
    messages      what travels over the WebSocket, both ways
    log           one JSON line an invocation

Standard library, boto3 and siblings only, so that the zip is the folder.
"""

"""Everything that runs in the helper stack; on AWS the package's name is ``lambda_functions``.

::

    entry          composition roots: make the clients once, name the handlers of
    manager_entry  PLLDBDebuggerRole, of PLLDBManagerRole,
    reaper_entry   and of PLLDBReaperRole

    management     POST /sessions                   ┐
    administration sessions listed, shown, closed   │
    health         whether the tables answer        │
    authorizer     who may connect                  │
    connection     $connect and $disconnect         │ pure functions of
    message        what a debugger sends            │ (event, stores, clock)
    broker         functions wait for an answer     │
    answers        debuggers fetch events, answer   │
    reaper         what nobody ended                │
    instrumentation  functions redirected, restored ┘
    configuration  what redirection makes of a function's configuration, and its undo
    ending         a session's end, whoever ends it
    pending        the cap on sessions that nobody connected to

    sessions       the session, its states and its store's interface
    invocations    the same of an invocation under debugging, and of tokens
    dynamodb, invocation_table   the stores on DynamoDB        memory    the stores in memory
    payloads       large events and results in the bucket
    functions      the control plane of the user's functions   ratelimit  within its quota
    connections    posting to a WebSocket connection, and dropping it
    instrumentation_request      what the instrumentation function is asked for
    messages       what travels over the WebSocket, both ways
    rest           what REST operations share
    log            one JSON line an invocation, with its metrics

Standard library, boto3 and siblings only, so that the zip is the folder.
"""

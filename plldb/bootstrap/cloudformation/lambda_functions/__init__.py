"""Everything that runs in the helper stack; on AWS the package's name is ``lambda_functions``.

::

    handlers/         one file for each Lambda function of template.yaml, named after it: it makes
                      the clients, once for each environment, and has ``handler``
    api/              the operations of the management API (REST), a file each
    websocket/        ``admission`` (the authorizer), ``connect_disconnect``, ``actions`` (a message
                      is read), ``debugger_actions`` and ``function_actions`` (it is carried out),
                      ``relay`` (what they share), ``connections`` (posting), ``wire`` (messages)
    sessions/         the session and its states, its store, its heirs, its end (by whom ever), the
                      reaping of what nobody ended, the cap on what nobody connects to
    invocations/      the invocation under debugging, its store, which session a function's token
                      opens (``grants``), and payloads in the bucket
    instrumentation/  functions redirected and restored: the request, the redirection itself, the
                      control plane of Lambda and its rate, and the service that does it all
    shared/           names, ids, clients, the log: what all rooms use, and what uses no room

A handler imports from rooms, and no room imports a handler. Rooms are pure functions of (event,
stores, clock). Standard library, boto3 and siblings only, so that the zip is the folder.
"""

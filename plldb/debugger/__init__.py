"""The attached side: what runs on the developer's machine while a stack is being debugged.

::

    attachment          the six steps of REQ_FN_0003, and again after a loss
    api_client          the helper stack's REST API                       (requests)
    protocol            the session, without I/O: frames in, events out   (pure)
    connection          the session's WebSockets, a thin shell around it  (websockets)
    timing              how long to wait for what, and to try again       (pure)
    invocation_runner   a session's invocations: claimed, run here, and answered
    replies             questions about invocations, asked again until they are answered
    http_session        HTTP with a few repeats, for that API and payloads (requests)
    payload_transfer    what is too long for a message, by presigned URLs (requests)
    children/           the processes that the code runs in
    signed_claims       claims straight to the helper stack's table (asyncio)
    reserved_variables  what is Lambda's or plldb's to set                (pure)
    overrides           what a developer sets: variables and handlers
    env_files           .env files, and those of sam local
    wrapped_handlers    the own handler behind a monitoring product's     (pure)
    sources/            where the code of a stack's functions lies        (pure)
    inline_code         code that stands in a template or a package, as files
    cfnresponse         what lies beside such code
    launch_config       how VS Code starts and attaches                   (pure)
    jsonc               its files, edited in place                        (pure)
    restoring           taking instrumentation off without a session
    tasks, threads      what goes on side by side
"""

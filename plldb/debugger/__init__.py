"""The attached side: what runs on the developer's machine while a stack is being debugged.

::

    api_client   the helper stack's REST API                          (requests)
    timing       how long to wait for what, and to try again          (pure)
    protocol     the session, without I/O: frames in, events out      (pure)
    connection   the session's WebSockets, a thin shell around it     (websockets)
    attach       the six steps of REQ_FN_0003, and again after a loss
    debugging    invocations: run here, by the invoker, and answered
    sources      whose code that is                                   (pure)
"""

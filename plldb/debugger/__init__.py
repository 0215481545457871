"""The attached side: what runs on the developer's machine while a stack is being debugged.

::

    management   the helper stack's REST API                          (requests)
    protocol     the session, without I/O: frames in, events out      (pure)
    connection   the session's WebSocket, a thin shell around it      (websockets)
    attach       the six steps of REQ_FN_0003
"""

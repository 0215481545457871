"""What runs inside a debugged function: asks the attached debugger, or runs the function itself.

::

    bootstrap         the handler that Lambda calls
    variables         what plldb wrote into the function's environment
    channel           asking the debugger, over a WebSocket to the helper stack
    progress          how far an invocation is, and what is due when
    idle_connection   the environment's connection between invocations
    function_context  what Lambda says of an invocation
    websocket_client  one WebSocket
    rfc6455           its handshake and its frames
    presigned         payloads that are too large for a message
    tcp               sockets
    original          the function's own handler
    remote            errors of the debugger's side, raised again here
    lambda_client     Lambda's own runtime client, so that an answer leaves as it came
    termination       being stopped in the middle, on an emulator
    constants         names that the helper stack has to spell alike

Standard library only, Python 3.8 and later, and as little of it as possible at import: whatever
is imported here makes a cold start longer.
"""

from .bootstrap import handler

__all__ = ["handler"]

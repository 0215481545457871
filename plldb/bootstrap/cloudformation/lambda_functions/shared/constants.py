"""Every name that two sides have to spell alike, once.

plldb's layer carries this file too (``plldb_shim/constants.py`` is a link to it), and the
developer's machine reads it. So it is plain Python 3.8, and imports nothing.
"""

from __future__ import annotations

# API Gateway's largest WebSocket frame; a message is one frame wherever it fits:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_FRAME_BYTES = 32_000

# In the table of sessions, what begins the keys of lists of functions, each before the name of the
# stack that they are of. template.yaml has it, too.
FUNCTION_LISTS_PREFIX = "functions#"

# --- Variables of an instrumented function --------------------------------------------------------

# The handler that Lambda calls while a function is instrumented: plldb's, out of the layer.
SHIM_HANDLER = "plldb_shim.handler"
# What restoring needs: the configuration as the user deployed it.
ORIGINAL_HANDLER = "PLLDB_ORIGINAL_HANDLER"
ORIGINAL_TIMEOUT = "PLLDB_ORIGINAL_TIMEOUT"
RAISED_TIMEOUT = "PLLDB_RAISED_TIMEOUT"
# Of a container image whose ImageConfig has a Command: that command, as JSON.
ORIGINAL_COMMAND = "PLLDB_ORIGINAL_COMMAND"
# The function's logical id, that of one in a nested stack after those that lead there.
FUNCTION = "PLLDB_FUNCTION"
# The stack whose session it is: the one above nested stacks, or the name of a mere list.
STACK = "PLLDB_STACK"
# Where the helper stack's WebSocket API is: wss://HOST/STAGE, or ws:// on an emulator.
WEBSOCKET_URL = "PLLDB_WEBSOCKET_URL"
# What admits the function to its session, and to nothing else.
TOKEN = "PLLDB_TOKEN"  # nosec B105  # noqa: S105 - the name of a variable
# Who holds the function: the beginning of the session's id, and the ARN of its owner.
SESSION = "PLLDB_SESSION"
HELD_BY = "PLLDB_HELD_BY"
# What the function does while nobody is attached: "original" or "error".
WHEN_ABSENT = "PLLDB_WHEN_ABSENT"
# Set if the function's own role is wanted: each invocation is sent with its credentials.
AS_FUNCTION = "PLLDB_AS_FUNCTION"
# In a version that plldb published for aliases: where each pointed before, as JSON.
ALIASES = "PLLDB_ALIASES"

# The developer's own, in the template: a container image carries the shim, and has this handler.
IMAGE_HANDLER = "PLLDB_IMAGE_HANDLER"

FUNCTION_VARIABLES = (
    ALIASES,
    ORIGINAL_HANDLER,
    ORIGINAL_COMMAND,
    ORIGINAL_TIMEOUT,
    RAISED_TIMEOUT,
    FUNCTION,
    STACK,
    WEBSOCKET_URL,
    TOKEN,
    SESSION,
    HELD_BY,
    WHEN_ABSENT,
    AS_FUNCTION,
)

# What plldb 0.1.0 wrote as well: restoring takes it away.
FORMER_FUNCTION_VARIABLES = ("PLLDB_BROKER_URL",)

# --- Variables of the helper stack's functions: see template.yaml ---------------------------------

# The helper stack's name. Every function of a helper stack has it, and no other function does.
HELPER_STACK = "PLLDB_HELPER_STACK"
METRICS = "PLLDB_METRICS"
SESSIONS_TABLE = "PLLDB_SESSIONS_TABLE"
DEBUGGER_TABLE = "PLLDB_DEBUGGER_TABLE"
PAYLOADS_BUCKET = "PLLDB_PAYLOADS_BUCKET"
PAYLOADS_PREFIX = "PLLDB_PAYLOADS_PREFIX"
INSTRUMENTATION_FUNCTION = "PLLDB_INSTRUMENTATION_FUNCTION"
LAYER_ARN = "PLLDB_LAYER_ARN"
CONNECTIONS_URL = "PLLDB_CONNECTIONS_URL"
MAX_PENDING_SESSIONS = "PLLDB_MAX_PENDING_SESSIONS"
MAX_REQUEST_BYTES = "PLLDB_MAX_REQUEST_BYTES"
MAX_MESSAGE_BYTES = "PLLDB_MAX_MESSAGE_BYTES"
MAX_WAITING_INVOCATIONS = "PLLDB_MAX_WAITING_INVOCATIONS"
# Which functions may be debugged: a pattern of names, and the value of a tag, which may be empty.
DEBUGGABLE_FUNCTIONS = "PLLDB_DEBUGGABLE_FUNCTIONS"
DEBUGGABLE_TAG = "PLLDB_DEBUGGABLE_TAG"
# Whether credentials of functions are passed on: ALLOWED, or anything else.
FUNCTION_CREDENTIALS = "PLLDB_FUNCTION_CREDENTIALS"
ALLOWED = "allowed"

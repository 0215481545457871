"""Everything that plldb expects to go wrong.

::

    PlldbError                      exit code 1: one line, a hint, no traceback
    ├── UsageError                  exit code 2: contradictory or missing flags
    ├── TargetError                 nowhere to send calls: no emulator, no profile
    ├── CredentialsError            AWS credentials are missing, expired or wrong
    │   └── NotLentError            no invocation has lent any: a handler's caller may see why
    ├── EndpointError               the endpoint does not answer
    ├── AwsError                    AWS, or the emulator, refused a call (``code`` says how)
    │   └── AccessDeniedError
    ├── DeploymentError             a stack could not be deployed or removed
    │   └── BootstrapError          the helper stack, or what belongs to it
    ├── StackError                  a stack that is needed is missing or in the wrong state
    ├── SessionError                the session could not be opened
    │   ├── ConnectionLostError     the session ended before the user ended it
    │   └── InvocationError         an invocation that can't be answered any more
    ├── SourceError                 a file of the developer's can't be used: template, code,
    │                               interpreter, launch.json
    ├── LayerError                  a layer can't be had: ``message`` is why, after "because"
    ├── EmulatorError               the emulator could not be started or stopped
    ├── ReplayError                 a replay came to something else than was recorded
    ├── FunctionFailedError         a function that was invoked raised an error
    ├── BackgroundError             a background session that did not start or end; its exit code
    └── CommandError                exit codes 126 and 127: a tool could not be started

Any other exception is a bug in plldb and keeps its traceback.
"""

from __future__ import annotations


class PlldbError(Exception):
    """An expected failure: what went wrong and where (``message``), what to do now (``hint``)."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def explanation(self) -> str:
        """Message and hint in one line."""
        return f"{self.message} {self.hint or ''}".strip()


class UsageError(PlldbError):
    exit_code = 2


class TargetError(PlldbError):
    pass


class CredentialsError(PlldbError):
    pass


class NotLentError(CredentialsError):
    pass


class EndpointError(PlldbError):
    pass


class AwsError(PlldbError):
    """A call that the service refused; ``code`` is the service's own error code."""

    def __init__(self, message: str, hint: str | None = None, *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class AccessDeniedError(AwsError):
    pass


class DeploymentError(PlldbError):
    pass


class BootstrapError(DeploymentError):
    pass


class StackError(PlldbError):
    pass


class SessionError(PlldbError):
    pass


class ConnectionLostError(SessionError):
    pass


class InvocationError(SessionError):
    pass


class SourceError(PlldbError):
    pass


class LayerError(PlldbError):
    pass


class EmulatorError(PlldbError):
    pass


class ReplayError(PlldbError):
    pass


class FunctionFailedError(PlldbError):
    pass


class BackgroundError(PlldbError):
    """``exit_code`` is that of the session."""

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class CommandError(PlldbError):
    """``exit_code`` is the one that shells have for it."""

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code

"""LocalStack's ``RuntimeExecutor`` over subprocesses: ``LAMBDA_RUNTIME_EXECUTOR=subprocess``."""

import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from ..settings import SETTINGS
from .process import LambdaProcess
from .runtime_api import Invocation, Outcome
from .runtimes import command_of, refusal

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, as Lambda words it."""


class SubprocessRuntimeExecutor(RuntimeExecutor):
    """One execution environment: warm between invocations, started anew after a crash."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        config = function_version.config
        self._refusal = refusal(config.runtime or "", str(config.package_type))
        self._environment: dict[str, str] = {}
        self._process: LambdaProcess | None = None
        self._lock = threading.Lock()
        self._invoking = False
        self._stopped = False

    def start(self, env_vars: dict[str, object]) -> None:
        """Start the process and wait for its handler, within AWS's ten seconds.

        A failure is not raised here: the invocation reports it, with the log that explains it.
        """
        self._environment = {name: str(value) for name, value in env_vars.items()}
        runtime = self.function_version.config.runtime
        self._environment["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime}"
        if self._refusal is None:
            self._initialise(self._start_process(), SETTINGS.lambda_init_seconds)

    def stop(self) -> None:
        """End the process; one that is in an invocation may finish it first, as on AWS."""
        with self._lock:
            self._stopped = True
            if not self._invoking:
                self._kill()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        with self._lock:
            self._invoking = True
        began = time.time()
        try:
            outcome = self._run(payload, began)
            output = self._process.take_output() if self._process else ""
        finally:
            self._finish_invocation()
        request_id = payload["invoke-id"]
        return InvocationResult(
            request_id,
            outcome.body,
            is_error=outcome.is_error,
            logs=self._log(request_id, output, outcome, time.time() - began),
        )

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "localhost"

    def get_runtime_endpoint(self) -> str:
        return ""  # LocalStack's own init calls it; awslambdaric has AWS_LAMBDA_RUNTIME_API

    def get_logs(self) -> str:
        return ""  # an invocation returns its own

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        config = function_version.config
        if config.code:
            config.code.prepare_for_execution()
        for layer in config.layers:
            if layer.code:
                layer.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Nothing: the code belongs to LocalStack, which removes it with the version."""

    # one invocation

    def _run(self, payload: dict[str, str], began: float) -> Outcome:
        if self._refusal is not None:
            return Outcome.error("Runtime.Unsupported", self._refusal)
        timeout = self.function_version.config.timeout
        request_id = payload["invoke-id"]
        process = self._process
        if process is None or not process.usable:
            process = self._start_process()
        if failure := self._initialise(process, timeout):
            return failure
        invocation = Invocation(
            request_id=request_id,
            payload=payload["payload"].encode(),
            deadline_ms=int((began + timeout) * 1000),
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
        )
        process.submit(invocation)
        try:
            outcome = invocation.outcome.result(timeout=max(0.0, began + timeout - time.time()))
        except FutureTimeoutError:
            self._kill()
            return _timed_out(request_id, timeout)
        return _within_limit(_with_request_id(outcome, request_id))

    def _initialise(self, process: LambdaProcess, timeout: float) -> Outcome | None:
        """-> what went wrong, or None. A process that failed to initialise is ended."""
        try:
            failure = process.api.ready.result(timeout=timeout)
        except FutureTimeoutError:
            failure = Outcome.error(
                "Sandbox.Timedout", f"Init timed out after {timeout:.2f} seconds"
            )
        if failure:
            process.kill()
        return failure

    def _start_process(self) -> LambdaProcess:
        config = self.function_version.config
        process = LambdaProcess(
            command_of(config.runtime or "") or [],
            handler=self._environment.get("_HANDLER", config.handler),
            task_root=Path(config.code.get_unzipped_code_location()),
            layers=[
                Path(layer.code.get_unzipped_code_location())
                for layer in config.layers
                if layer.code
            ],
            environment=self._environment,
        )
        with self._lock:
            self._process = process
            if self._stopped and not self._invoking:
                process.kill()
        return process

    def _finish_invocation(self) -> None:
        with self._lock:
            self._invoking = False
            if self._stopped:
                self._kill()

    def _kill(self) -> None:
        if self._process:
            self._process.kill()

    def _log(self, request_id: str, output: str, outcome: Outcome, seconds: float) -> str:
        """The lines that Lambda writes around a function's own."""
        version = self.function_version
        lines = [f"START RequestId: {request_id} Version: {version.id.qualifier}"]
        lines += output.splitlines()
        if outcome.is_error and b'"Sandbox.Timedout"' in outcome.body:
            lines.append(f"{request_id} Task timed out after {version.config.timeout:.2f} seconds")
        milliseconds = seconds * 1000
        lines += [
            f"END RequestId: {request_id}",
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\t"
            f"Memory Size: {version.config.memory_size} MB\tMax Memory Used: 0 MB",
        ]
        return "\n".join(lines)


def _timed_out(request_id: str, timeout: float) -> Outcome:
    message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
    return Outcome.error("Sandbox.Timedout", message)


def _with_request_id(outcome: Outcome, request_id: str) -> Outcome:
    """The process cannot know whose invocation it died in; Lambda says so in the message."""
    if not outcome.body.startswith(b'{"errorType": "Runtime.ExitError"'):
        return outcome
    return Outcome(
        outcome.body.replace(
            b'"errorMessage": "', f'"errorMessage": "RequestId: {request_id} Error: '.encode(), 1
        ),
        True,
    )


def _within_limit(outcome: Outcome) -> Outcome:
    if len(outcome.body) <= MAX_RESPONSE_BYTES:
        return outcome
    message = (
        f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
    )
    return Outcome.error("Function.ResponseSizeTooLarge", message)

"""What a function's process runs: AWS's runtime client, and an end when the emulator ends.

Run by path, so that it needs nothing from the function's ``sys.path`` before it changes it.
Arguments: the handler, and a file descriptor that reaches its end when the emulator is gone.
"""

import _thread
import os
import signal
import sys


def end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: this returns at end of file
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    handler, lifeline = sys.argv[1], int(sys.argv[2])
    os.set_inheritable(lifeline, False)
    _thread.start_new_thread(end_with_parent, (lifeline,))
    import api_names  # beside this file, where the script's folder is still on the path

    del sys.modules["api_names"]  # the function may have a module of that name
    api_names.install(os.environ.get("AWS_ENDPOINT_URL", ""))
    # As on AWS, the function's folder comes first instead of the script's.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]

    from awslambdaric.__main__ import main as run_runtime

    run_runtime(["awslambdaric", handler])


if __name__ == "__main__":
    main()

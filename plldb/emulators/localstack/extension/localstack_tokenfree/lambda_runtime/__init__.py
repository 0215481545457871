"""Lambda functions as subprocesses of the emulator."""

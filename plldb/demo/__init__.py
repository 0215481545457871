"""The whole of plldb on the embedded emulator, told as a story: what ``plldb demo`` shows.

The sample stack to debug is ``sample_stack.yaml``, beside this file.
"""

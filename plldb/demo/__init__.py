"""The whole of plldb on the embedded emulator, told as a story: what ``plldb demo`` shows.

``sample/`` is the project to debug: a template, and the code of its function.
"""

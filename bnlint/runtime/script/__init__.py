"""Runs a script in a child process under observation.

- ``parent``: starts the child, passes everything through, holds its limits, and reads what it saw.
- ``child``: what the child does: it prepares the frameworks, runs the script as Python would, and flushes at the end.
- ``recorder``: collects what was seen, and writes it to the ``journal`` from time to time.
- ``frames``: finds the user's lines on the stack.
- ``sources``: reads the script, and translates Python 2.
- ``limits``: memory and the end of a group of processes.
"""

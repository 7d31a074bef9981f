"""Running models and scripts under observation: the proof behind the arguments of ``bnlint check``.

The parts, and what each knows:

- ``observed``: what a running program did, as plain data. Framework-neutral; the rules' ``confirm`` reads it.
- ``oracle``: the formulas of batch normalisation in NumPy, tolerances, and the twelve checks. Knows no framework.
- ``verify``: runs the twelve checks on a ``Subject``, and restores it.
- ``backends``: one file for each framework: makes a ``Subject`` of a model, and observes a running script.
- ``script``: runs a script in a child process under observation.
- ``pages``: the reports of a run, for the terminal, as JSON and as a page.

It executes the user's code, so nothing of it is imported by ``bnlint check``, the hooks or the server.
"""

"""The commands: each module of this package is one, with ``add_arguments(parser)`` and ``run(arguments)``."""

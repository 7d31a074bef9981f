"""One module for each framework: its models as subjects of ``verify``, and what a script does with it."""

"""What rules ask of a trace, worked out once for all of them: one question in each file."""

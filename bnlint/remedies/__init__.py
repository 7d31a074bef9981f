"""Repairs that several rules share: what is to be edited, and what must hold for that to be safe."""

"""The configuration: strict, cross-checked before anything runs."""

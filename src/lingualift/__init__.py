"""Lingualift: lift a language model that knows a few languages well into a hundred."""

__version__ = "0.1.0"

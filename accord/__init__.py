"""Accord: the signed agreement between agencies is the access control.

This package holds all that nodes, brokers and clients share.
"""

__version__ = "0.1.0"

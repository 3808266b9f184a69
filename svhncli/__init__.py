"""svhn: a command-line trainer for street-number recognition."""

__version__ = "0.2.0"

"""Numbers as people read them: one format for each, on the terminal, in reports and in model cards."""

from __future__ import annotations


def percent(value: float, digits: int = 2) -> str:
    """Such as `95.61%`."""
    return f"{100 * value:.{digits}f}%"


def bounds(low: float, high: float, digits: int = 2) -> str:
    """An interval of shares, such as `[92.90%, 93.80%]`."""
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def duration(seconds: float) -> str:
    """Such as `1 h 5 min`, `3 min 20 s` or `4.2 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"

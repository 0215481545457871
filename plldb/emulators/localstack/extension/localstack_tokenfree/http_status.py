"""Statuses of answers, as functions and templates say them."""


def http_status(value: object) -> int | None:
    """``value``, a number or its text, as API Gateway takes it: 200 to 599, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        status = int(value)
    except (OverflowError, ValueError):
        return None
    return status if 200 <= status <= 599 else None

"""Whether two strings name the same units: ``m/s``, ``m s-1`` and ``m s**-1`` do."""

from __future__ import annotations

import re

#: Words that stand for a symbol, as far as programs here use it.
_WORDS = {
    "kelvin": "K", "kelvins": "K", "meter": "m", "metre": "m", "meters": "m", "metres": "m",
    "second": "s", "seconds": "s", "sec": "s", "radian": "rad", "radians": "rad",
}  # fmt: skip
_NONE = ("", "1", "-", "none", "dimensionless", "nondimensional", "non-dimensional")
_PART = re.compile(r"([A-Za-zµ°%]+)(?:\^|\*\*)?([+-]?\d+)?$")


def same_units(one: str, other: str) -> bool:
    """Whether both mean the same, prefixes and factors aside: ``km`` is not ``m``."""
    return _powers(str(one)) == _powers(str(other))


def _powers(units: str) -> dict[str, int] | str:
    """Exponent of each symbol; the string as it is where it cannot be read."""
    text = units.strip()
    if text.lower() in _NONE:
        return {}
    powers: dict[str, int] = {}
    # Of "m / s / s" the second and third go below the line.
    for below, factor in enumerate(re.sub(r"\s*/\s*", "/", text).split("/")):
        for part in re.split(r"[\s.·]+|(?<!\*)\*(?!\*)", factor.strip("() ")):
            if part in ("", "1"):
                continue
            match = _PART.fullmatch(part)
            if match is None:
                return text
            symbol = _WORDS.get(match[1].lower(), match[1])
            power = int(match[2] or 1) * (-1 if below else 1)
            powers[symbol] = powers.get(symbol, 0) + power
    return {symbol: power for symbol, power in powers.items() if power}

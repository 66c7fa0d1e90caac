"""How exact are fields from given initial states? Run by hand:

    SCIML_DATA=FOLDER python tests/benchmarks/show_initial.py [--ranks 2]    # minutes

Burgers, Korteweg–de Vries and Kuramoto–Sivashinsky start from files through ``--initial``, and are
compared with integrations that share no code with the package: the eighth-order Runge–Kutta method of
scipy on Fourier coefficients (of KdV in the frame of its linear part), on another number of points;
Burgers besides with the exact solution of Cole and Hopf in 80-bit numbers, itself checked at some
points with 50 digits (needs mpmath), and, where ``SCIML_DATA`` names a folder with it, with the public
file ``pinn/burgers.npz`` (u₀ = −sin πx on [−1, 1], ν = 0.01/π). Given are relative L2 differences.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

import sciml

NU = 0.01 / np.pi


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Relative L2 difference."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def ours(program: str, start: np.ndarray, folder: Path, ranks: int, **flags) -> np.ndarray:
    """The last field of a run from a file."""
    path = folder / f"{program}.npy"
    np.save(path, start)
    steps = flags["steps"]
    ds = sciml.simulate(
        f"solvers/{program}.py", ranks, initial=path, shape=start.shape, every=steps, **flags
    )
    return ds.u.values[-1]


def series(u: np.ndarray, length: float, x: np.ndarray) -> np.ndarray:
    """A periodic field on [0, length) at other positions, by its Fourier series."""
    c = np.fft.rfft(u) / len(u)
    k = 2 * np.pi * np.arange(len(c)) / length
    return c[0].real + 2.0 * (np.exp(1j * np.outer(x, k[1:])) @ c[1:]).real


def integrated(
    start: np.ndarray,
    length: float,
    end: float,
    linear: Callable[[np.ndarray], np.ndarray],
    factor: float,
    *,
    turning: bool = False,
) -> np.ndarray:
    """∂û/∂t = l(k) û − i k factor · (u²)^, by DOP853 to 13 digits; ``turning``: for e^{−lt} û."""
    n = len(start)
    k = 2 * np.pi * np.arange(n // 2 + 1) / length
    kept = np.arange(n // 2 + 1) < n / 3
    symbol = linear(k) * kept

    def rate(t: float, state: np.ndarray) -> np.ndarray:
        c = state.view(complex)
        turn = np.exp(symbol * t) if turning else 1.0
        u = np.fft.irfft(turn * c * kept, n)
        change = -1j * k * factor * np.fft.rfft(u * u) * kept / turn
        return (change if turning else change + symbol * c).view(float)

    first = np.fft.rfft(start) * kept
    found = solve_ivp(
        rate, (0.0, end), first.view(float), method="DOP853", rtol=1e-13, atol=1e-13 * n
    )
    last = np.ascontiguousarray(found.y[:, -1]).view(complex)
    return np.fft.irfft(last * np.exp(symbol * end) if turning else last, n)


def cole_hopf(x: np.ndarray, t: float, number: type = np.longdouble) -> np.ndarray:
    """Burgers from −sin πx: ∫ −sin π(x−s) w ds / ∫ w ds with w = exp(−cos π(x−s) / 2πν − s²/4νt),
    by the trapezoidal rule, which is exact to the last digit for such integrands."""
    pi, nu = number(np.pi), number(NU)
    # Beyond, the Gaussian is smaller than what cos can make up for, by e^−60.
    reach = np.sqrt(4 * nu * number(t) * (60 + 1 / (pi * nu)))
    s = np.linspace(-reach, reach, 40001, dtype=number)
    out = []
    for point in np.asarray(x, number):
        y = pi * (point - s)
        exponent = -np.cos(y) / (2 * pi * nu) - s * s / (4 * nu * number(t))
        w = np.exp(exponent - exponent.max())
        out.append(-(np.sin(y) * w).sum() / w.sum())
    return np.array(out).astype(float)


def in_50_digits(x: float, t: float) -> float:
    """The same by mpmath."""
    import mpmath as mp

    mp.mp.dps = 50
    nu, x, t = mp.mpf("0.01") / mp.pi, mp.mpf(float(x)), mp.mpf(float(t))
    reach = mp.sqrt(4 * nu * t * (120 + 1 / (mp.pi * nu)))
    steps = 6000
    above = below = mp.mpf(0)
    for i in range(-steps, steps + 1):
        s = reach * i / steps
        y = mp.pi * (x - s)
        w = mp.exp((1 - mp.cos(y)) / (2 * mp.pi * nu) - s * s / (4 * nu * t))
        above -= mp.sin(y) * w
        below += w
    return float(above / below)


def burgers(folder: Path, ranks: int) -> None:
    """u₀ = −sin πx on [−1, 1] at t = 0.99; our line goes from 0 to 2."""
    end, n = 0.99, 8192
    u = ours(
        "burgers", np.sin(np.pi * np.arange(n) * 2 / n), folder, ranks,
        length=2.0, nu=NU, dt=end / 4000, steps=4000,
    )  # fmt: skip
    x = np.linspace(-1.0, 1.0, 256)
    exact = cole_hopf(x, end)
    tell("burgers, exact solution (Cole–Hopf, 80 bits)", apart(series(u, 2.0, x + 1.0), exact))
    m = 5000
    own = integrated(np.sin(np.pi * np.arange(m) * 2 / m), 2.0, end, lambda k: -NU * k * k, 0.5)
    tell(
        f"burgers, DOP853 on {m} points", apart(series(u, 2.0, x + 1.0), series(own, 2.0, x + 1.0))
    )
    some = np.array([-0.9, -0.3, -0.01, 0.004, 0.02, 0.5])
    try:
        digits = np.array([in_50_digits(p, end) for p in some])
        tell("    (Cole–Hopf in 80 bits, in 50 digits)", apart(cole_hopf(some, end), digits))
    except ImportError:
        print("    (no mpmath: Cole–Hopf was not checked in 50 digits)")
    place = Path(os.environ.get("SCIML_DATA", "")) / "pinn/burgers.npz"
    if not place.is_file():
        print("burgers, the public file: SCIML_DATA names no folder with pinn/burgers.npz")
        return
    data = np.load(place)
    x, times, usol = data["x"].ravel(), data["t"].ravel(), data["usol"]
    last = usol[:, -1].astype(float)
    exact = cole_hopf(x, times[-1])
    tell("burgers, the public file, t = 0.99", apart(series(u, 2.0, x + 1.0), last))
    tell("    (the public file, Cole–Hopf)", apart(last, exact))
    for at in (25, 50, 75):
        tell(f"    (the same at t = {times[at]:.2f})", apart(usol[:, at], cole_hopf(x, times[at])))


def korteweg_de_vries(folder: Path, ranks: int) -> None:
    length, end, n, m = 20.0, 2.0, 256, 200

    def start(n: int) -> np.ndarray:
        x = 2 * np.pi * np.arange(n) / n
        return np.cos(x) + 0.5 * np.sin(2 * x + 0.3) - 0.2 * np.cos(3 * x)

    u = ours("korteweg_de_vries", start(n), folder, ranks, length=length, dt=1e-4, steps=20000)
    own = integrated(start(m), length, end, lambda k: 1j * k**3, 3.0, turning=True)
    x = length * np.arange(300) / 300
    tell(
        f"korteweg-de-vries, DOP853 on {m} points",
        apart(series(u, length, x), series(own, length, x)),
    )


def kuramoto_sivashinsky(folder: Path, ranks: int) -> None:
    length, end, n, m = 32.0 * np.pi, 20.0, 512, 400

    def start(n: int) -> np.ndarray:
        x = 2 * np.pi * np.arange(n) / n
        return np.cos(x) * (1.0 + np.sin(x))

    u = ours("kuramoto_sivashinsky", start(n), folder, ranks, length=length, dt=1e-3, steps=20000)
    own = integrated(start(m), length, end, lambda k: k**2 - k**4, 0.5)
    x = length * np.arange(300) / 300
    tell(
        f"kuramoto-sivashinsky, DOP853 on {m} points",
        apart(series(u, length, x), series(own, length, x)),
    )


_began = time.perf_counter()


def tell(what: str, difference: float) -> None:
    print(f"{what:<58} {difference:.1e}   {time.perf_counter() - _began:6.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{'started with --initial FILE.npy, against':<58} relative L2")
    with tempfile.TemporaryDirectory() as folder:
        for show in (burgers, korteweg_de_vries, kuramoto_sivashinsky):
            show(Path(folder), arguments.ranks)


if __name__ == "__main__":
    main()

"""Small public datasets: found, fetched, checked; the real ones where SCIML_DATA says that they are."""

import hashlib
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
import yaml

import sciml
from sciml.datasets import published
from sciml.domain.dataset import domain_of
from sciml.errors import InputError

real = pytest.mark.skipif(
    not os.environ.get("SCIML_DATA"), reason="SCIML_DATA names no folder with the public files"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def origin(tmp_path):
    """A server of one made-up file, and its address."""
    folder = tmp_path / "origin"
    folder.mkdir()
    x = torch.arange(3 * 4 * 4).reshape(3, 4, 4) % 3 > 0
    torch.save({"x": x, "y": x.float() * 0.5}, folder / "train_4.pt")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def made_up(tmp_path, monkeypatch, origin):
    """A published dataset of that file; the cache is in the test's folder."""
    folder, address = origin
    share = tmp_path / "share"
    place = share / "data" / "made_up"
    place.mkdir(parents=True)
    axis = {"low": 0.0, "high": 1.0, "boundary": "periodic"}
    body = {
        "name": "made_up",
        "title": "t",
        "equation": "e",
        "references": "r",
        "license": "MIT",
        "origin": address,
        "axes": {"y": axis, "x": axis},
        "variables": {
            "a": {"key": "x", "dims": ["sample", "y", "x"], "long_name": "phase"},
            "u": {"key": "y", "dims": ["sample", "y", "x"], "long_name": "pressure"},
        },
        "files": [
            {
                "name": "train_4.pt",
                "split": "train",
                "resolution": 4,
                "sha256": hashlib.sha256((folder / "train_4.pt").read_bytes()).hexdigest(),
            }
        ],
    }
    (place / "files.yaml").write_text(yaml.safe_dump(body))
    monkeypatch.setattr(published, "share_root", lambda: share)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SCIML_DATA", raising=False)
    return tmp_path / "cache" / "sciml" / "made_up" / "train_4.pt"


def test_fetched_once_and_given_names(made_up, origin):
    ds = sciml.load_dataset("made_up")
    assert ds.a.dims == ("sample", "y", "x") and ds.a.dtype == np.float32
    np.testing.assert_array_equal(ds.u, 0.5 * ds.a)
    assert list(ds.split.values) == ["train"] * 3
    assert ds.u.attrs == {"units": "1", "long_name": "pressure"}
    assert domain_of(ds, ["u"]).boundary == ("periodic", "periodic")
    assert made_up.is_file() and len(list(made_up.parent.iterdir())) == 1
    (origin[0] / "train_4.pt").unlink()
    assert sciml.load_dataset("made_up").identical(ds)


def test_another_file_is_refused(made_up, origin, tmp_path):
    torch.save({"x": torch.zeros(1)}, origin[0] / "train_4.pt")
    with pytest.raises(InputError, match="it is not the published file"):
        sciml.load_dataset("made_up")
    assert not made_up.exists() and not list(made_up.parent.iterdir())
    with pytest.raises(InputError, match="it is not the published file"):
        sciml.load_dataset("made_up", origin[0])


def test_what_cannot_be_had_is_one_line(made_up, origin, tmp_path, monkeypatch):
    (origin[0] / "train_4.pt").rename(tmp_path / "train_4.pt")
    for arguments, line in (
        ({}, r"cannot be fetched \(File not found\); .*SCIML_DATA"),
        ({"folder": origin[0]}, "no train_4.pt in"),
        ({"folder": tmp_path / "no"}, "no folder"),
        ({"resolution": 8}, "resolution 8; expected one of 4"),
    ):
        with pytest.raises(InputError, match=line) as error:
            sciml.load_dataset("made_up", **arguments)
        assert "\n" not in str(error.value)
    # The folder of the environment, or one right below it.
    monkeypatch.setenv("SCIML_DATA", str(tmp_path.parent))
    assert sciml.load_dataset("made_up").sizes["sample"] == 3


def test_names_that_are_not_published():
    with pytest.raises(InputError, match="did you mean 'neuraloperator_darcy'"):
        sciml.load_dataset("neuraloperator_darci")
    with pytest.raises(InputError, match="sciml generate data/heat_online"):
        sciml.load_dataset("heat_online")
    with pytest.raises(InputError, match=r"sciml\.load_dataset\('neuraloperator_darcy'\)"):
        sciml.generate("data/neuraloperator_darcy", "f.nc")


@real
def test_darcy():
    ds = sciml.load_dataset("neuraloperator_darcy")
    assert dict(ds.sizes) == {"sample": 1050, "y": 16, "x": 16}
    assert (ds.split == "train").sum() == 1000
    assert set(np.unique(ds.a)) == {0.0, 1.0}
    fine = sciml.load_dataset("neuraloperator_darcy", resolution=32)
    assert dict(fine.sizes) == {"sample": 50, "y": 32, "x": 32}
    # The same 50 problems: where the coarse grid has a point, so has the fine one.
    coarse = ds.isel(sample=ds.split == "test")
    assert abs(fine.u[:, ::2, ::2].values - coarse.u.values).max() < 0.2 * float(coarse.u.max())


@real
def test_burgers():
    ds = sciml.load_dataset("neuraloperator_burgers")
    assert dict(ds.sizes) == {"sample": 1200, "time": 17, "x": 16}
    assert (ds.split == "test").sum() == 400
    assert float(ds.nu) == pytest.approx(0.01)
    # The equation keeps the mean (16 points see it roughly), and the energy falls.
    np.testing.assert_allclose(ds.u.mean("x")[:, 1:], 0.0, atol=1e-2)
    assert ((ds.u**2).mean(("sample", "x")).diff("time") < 0).all()


@real
def test_burgers_has_the_times_that_the_equation_says():
    """Solved from its first frames by Runge–Kutta on four times as many points: to what 16 points tell
    of them, times 0.06 apart fit, and those of 17 from 0 to 1 do not."""
    ds = sciml.load_dataset("neuraloperator_burgers")
    frames, nu, n, fine = ds.u.values.astype(float), float(ds.nu), 16, 64
    c = np.fft.rfft(frames[:, 0]) / n
    smooth = np.argsort(np.abs(c[:, 6:]).sum(1) / np.abs(c).sum(1))[:100]
    k, kept = 2.0 * np.pi * np.arange(fine // 2 + 1), np.arange(fine // 2 + 1) <= fine // 3
    u = np.zeros((100, fine // 2 + 1), complex)
    u[:, : n // 2] = fine * c[smooth, : n // 2]

    def rate(u):
        flux = np.fft.rfft(0.5 * np.fft.irfft(u, fine) ** 2)
        return kept * (-1j * k * flux - nu * k**2 * u)

    missed, steps = {0.06: [], 0.0625: []}, 16
    for apart, errors in missed.items():
        now, dt = u.copy(), apart / steps
        for frame in range(1, ds.sizes["time"]):
            for _ in range(steps):
                a = rate(now)
                b = rate(now + 0.5 * dt * a)
                d = rate(now + 0.5 * dt * b)
                now = now + dt / 6 * (a + 2 * b + 2 * d + rate(now + dt * d))
            wanted = frames[smooth, frame]
            found = np.fft.irfft(now, fine)[:, :: fine // n]
            errors.append(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    assert max(missed[0.06]) < 1e-3 and missed[0.0625][-1] > 0.02, missed
    np.testing.assert_allclose(ds.time, 0.06 * np.arange(17), atol=1e-12)

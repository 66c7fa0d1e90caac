import numpy as np
import pytest
import xarray as xr

NU = 0.05


def pairs(samples, points, seed):
    """u(0, ·) and u(1, ·) of Burgers' equation, by the formula of Cole and Hopf."""
    rng = np.random.default_rng(seed)
    waves = 2j * np.pi * np.arange(points // 2 + 1)
    series = np.zeros((samples, len(waves)), complex)
    series[:, 1:5] = rng.standard_normal((samples, 4, 2)) @ [1, 1j] * points / 40
    potential = np.zeros_like(series)
    potential[:, 1:] = series[:, 1:] / waves[1:]
    start = np.exp(-np.fft.irfft(potential) / (2 * NU))
    later = np.fft.rfft(start) * np.exp(NU * waves**2)
    end = -2 * NU * np.fft.irfft(waves * later) / np.fft.irfft(later)
    x = xr.DataArray(np.arange(points) / points, dims="x")
    x.attrs |= {"boundary": "periodic", "extent": [0.0, 1.0]}
    fields = {"u0": (("sample", "x"), np.fft.irfft(series)), "u1": (("sample", "x"), end)}
    return xr.Dataset(fields, coords={"x": x})


@pytest.mark.parametrize(
    ("model", "options", "epochs", "bound"),
    [
        ("fno", {"hidden_channels": 16}, 10, 0.1),
        ("deeponet", {}, 30, 0.5),
        ("pod_deeponet", {"basis": 8}, 30, 0.5),
    ],
)
def test_models_learn_burgers_and_are_evaluated_at_finer_points(
    workflow, model, options, epochs, bound
):
    run = workflow("burgers")
    case = run.CASES["small"][model]
    case = run.Case({**case.model, **options}, 128, case.batch, epochs, {**case.phase, "lr": 5e-3})
    found = run.measure(case, pairs(200, 512, 0), pairs(20, 512, 1), 0, "cpu")
    assert found["test"]["512"] < bound
    assert found["weights"] - found["weights_complex_once"] == (
        4 * 16 * 16 * 16 if model == "fno" else 0
    )
    [first, *_, last] = found["test"].values()
    assert last == pytest.approx(first, rel=0.1)
    assert f"| {model} | {found['weights']:,}" in run.table([{"model": model, **found}])


def test_results_that_are_there_are_not_computed_again(workflow, tmp_path, monkeypatch, capsys):
    run = workflow("burgers")
    ends = pairs(6, 256, 0)
    both = xr.concat([ends["u0"], ends["u1"]], "time").transpose("sample", "time", "x")
    split = ("sample", ["train"] * 4 + ["test"] * 2)
    ds = xr.Dataset({"u": both.assign_coords(time=[0.0, 1.0])}, {"split": split})
    ds.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    words = ["run.py", "--data", str(tmp_path / "data.nc"), "--out", str(tmp_path / "out")]
    words += ["--models", "pod_deeponet", "--seeds", "2", "--epochs", "2", "--device", "cpu"]
    case = run.CASES["small"]["pod_deeponet"]
    monkeypatch.setitem(
        run.CASES["small"],
        "pod_deeponet",
        run.Case({**case.model, "basis": 2}, 128, 4, 2, case.phase),
    )
    monkeypatch.setattr("sys.argv", words)
    run.main()
    assert len((tmp_path / "out/results.jsonl").read_text().splitlines()) == 2
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", [*words, "--seeds", "3"])
    run.main()
    assert capsys.readouterr().out.count('"seed"') == 1

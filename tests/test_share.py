"""What rides along is found in the checkout, and the package stays light."""

import subprocess
import sys
import warnings
from importlib import metadata

import pytest

import sciml
from sciml import installation, share
from sciml.errors import InputError


def test_share_root_is_checkout_or_wheel(tmp_path, monkeypatch):
    package = tmp_path / "sciml"
    (package / "_share" / "solvers").mkdir(parents=True)
    monkeypatch.setattr(share, "__file__", str(package / "share.py"))
    assert share.share_root() == package / "_share"
    (package / "_share" / "solvers").rmdir()
    (package / "_share").rmdir()
    assert share.share_root() == tmp_path


def test_working_directory_comes_first(tmp_path, monkeypatch):
    root, here = tmp_path / "share", tmp_path / "here"
    for place in (root, here):
        (place / "solvers").mkdir(parents=True)
    (root / "solvers" / "heat.py").touch()
    monkeypatch.setattr(share, "share_root", lambda: root)
    monkeypatch.chdir(here)
    assert share.find("solvers/heat.py") == root / "solvers" / "heat.py"
    (here / "solvers" / "heat.py").touch()
    assert share.find("solvers/heat.py") == here / "solvers" / "heat.py"
    assert share.find(root / "solvers" / "heat.py") == root / "solvers" / "heat.py"
    assert share.find("solvers") == here / "solvers"


def test_missing_file_names_both_places_and_the_nearest(tmp_path, monkeypatch):
    root, here = tmp_path / "share", tmp_path / "here"
    (root / "solvers").mkdir(parents=True)
    here.mkdir()
    (root / "solvers" / "heat.py").touch()
    monkeypatch.setattr(share, "share_root", lambda: root)
    monkeypatch.chdir(here)
    with pytest.raises(InputError) as caught:
        share.find("solvers/haet.py")
    message = str(caught.value)
    assert str(root) in message and str(here) in message
    assert "did you mean 'heat.py'?" in message and "\n" not in message
    with pytest.raises(InputError, match="nothing of that kind"):
        share.find("nowhere/haet.py")
    with pytest.raises(InputError, match=r"did you mean 'heat\.py'"):
        share.find(root / "solvers" / "heaat.py")


def test_a_bare_name_of_a_program_or_study_is_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"did you mean 'solvers/heat\.py'"):
        share.find("heat")
    with pytest.raises(InputError, match=r"did you mean 'workflows/quickstart/study\.yaml'"):
        share.find("quickstart")


def test_import_is_light():
    heavy = "torch,xarray,pydantic,scipy,pandas,dask,numpy,importlib.metadata"
    code = (
        f"import sys, sciml; bad = [m for m in {heavy.split(',')!r} if m in sys.modules]; "
        "assert not bad, bad; assert 'fit' in dir(sciml)"
    )
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=share.share_root())


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = sciml.fitt
    assert isinstance(sciml.__version__, str)


def test_namesake_is_reported(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation.metadata, "version", missing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not installation.warn_of_namesake()
    assert installation.version() == "unknown"
    monkeypatch.setattr(installation.metadata, "version", lambda name: "0.0.10")
    with pytest.warns(RuntimeWarning, match="pip uninstall sciml"):
        assert installation.warn_of_namesake()

"""The runner of public graphs, on a graph of its own."""

import json
import sys

import numpy as np
import pytest
import torch


@pytest.fixture
def runner(workflow):
    return workflow("graph_diffusion_fidelity")


@pytest.fixture
def folder(tmp_path):
    """Two kinds of nodes, joined with their like, whose features say little."""
    rng, n = np.random.default_rng(0), 60
    labels = np.arange(n) % 2
    pairs = rng.integers(0, n, (400, 2))
    like = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    edges = np.unique(np.sort(pairs[like & (pairs[:, 0] != pairs[:, 1])], axis=1), axis=0)
    part = np.stack([rng.permutation(n) % 4 for _ in range(10)])
    features = rng.standard_normal((n, 5)) + 0.3 * labels[:, None]
    (tmp_path / "heterophilous").mkdir()
    np.savez(
        tmp_path / "heterophilous/minesweeper.npz",
        node_features=features.astype(np.float32),
        node_labels=labels,
        edges=edges,
        train_masks=part < 2,
        val_masks=part == 2,
        test_masks=part == 3,
    )
    return tmp_path


def test_results_are_lines_that_are_not_computed_again(runner, folder, monkeypatch, capsys):
    monkeypatch.setitem(runner.MINESWEEPER, "epochs", 15)
    out, models = folder / "results.jsonl", ["sheaf-o3", "gread-bs", "gcn", "mlp"]
    words = ["run.py", "--data", folder, "--dataset", "minesweeper", "--seeds", "2", "--out", out]
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--model", *models])
    runner.main()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(line["model"], line["seed"]) for line in lines} == {
        (m, s) for m in models for s in (0, 1)
    }
    mean = {m: np.mean([line["test"] for line in lines if line["model"] == m]) for m in models}
    assert mean["gcn"] > 0.9 > 0.7 > mean["mlp"], mean
    monkeypatch.setattr(runner, "measure", None)
    runner.main()
    assert out.read_text().count("\n") == 8
    assert capsys.readouterr().out.count("(2)") == 2 * len(models)


@pytest.mark.parametrize("dataset", ["texas", "chameleon_filtered", "minesweeper"])
@pytest.mark.parametrize("model", ["sheaf-o3", "gread-bs", "mlp"])
def test_features_that_are_0_may_be_left_out(runner, model, dataset):
    x, edges = torch.randn(9, 5).relu(), runner.undirected(torch.tensor([[0, 1, 2], [1, 2, 3]]))
    net = runner.MODELS[model](5, 2, dataset)[0].eval()
    links = runner.links_of(edges, 9)
    torch.testing.assert_close(runner.logits_of(net, x.to_sparse_csr(), links), net(x, edges))


def test_the_area_under_the_curve(runner):
    y = torch.tensor([0, 0, 1, 1])
    logits = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0], [0.0, 4.0]])
    assert runner.score(logits, y, True) == 0.75 and runner.score(logits, y, False) == 0.5


def test_data_that_are_not_there_are_named(runner, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        runner.main()
    assert "SCIML_GRAPH_DATA: no such folder" in capsys.readouterr().err

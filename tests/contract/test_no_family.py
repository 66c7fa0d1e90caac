"""The loop and all around it know no family, no domain and no model by its type."""

import ast
from pathlib import Path

import sciml.training

ROOM = Path(sciml.training.__file__).parent
FORBIDDEN = {
    *("Grid", "Mesh", "Graph", "Particles", "Domain"),
    *("FNO", "MLP", "Surrogate", "Module", "DatasetSource", "StreamSource", "CollocationSource"),
}
# fit takes a model or its name, and notes which it was: the places where a type is asked for, and only
# that one.
ALLOWED = {
    ("dataset_fit.py", "Module"),
    ("preparation.py", "Module"),
    ("fit_directory.py", "Module"),
}


def names(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def checks(path):
    """Types that are asked for with isinstance, match or type()."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "isinstance",
            "issubclass",
        ):
            yield from names(node.args[1])
        if isinstance(node, ast.MatchClass):
            yield from names(node.cls)
        if isinstance(node, ast.Compare) and "kind" in names(node):
            yield "Domain"


def test_no_isinstance_on_a_family_or_a_domain():
    files = sorted(ROOM.glob("*.py"))
    assert len(files) > 10
    found = {(f.name, name) for f in files for name in checks(f) if name in FORBIDDEN}
    assert found <= ALLOWED


def test_the_check_sees_what_it_should(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("isinstance(x, (int, domain.Grid))\nif batch.kind == 'mesh': pass\n")
    assert {"Grid", "Domain"} <= set(checks(bad))


def test_training_imports_no_family():
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", "") or ""
            assert not module.startswith(("sciml.surrogates.grid", "sciml.surrogates.mlp")), file
            assert "neuralop" not in module, file

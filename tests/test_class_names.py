"""No two things of one name, over all of the library."""

import ast
from collections import defaultdict
from pathlib import Path

import sciml

ROOT = Path(sciml.__file__).parent


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice

"""Names in the package: each class name stands for one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import ghcr_push

PACKAGE = Path(ghcr_push.__file__).parent


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 100, "the package was not found"
    assert {name: where for name, where in places.items() if len(where) > 1} == {}

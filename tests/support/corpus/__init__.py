"""Layouts and archives as other tools write them, made by small recipes.

A recipe makes one tool write one form of content into a separate folder, and returns the source
that names it. Families of recipes share what is slow to start.
"""

from collections.abc import Mapping

from tests.support.corpus import by_hand, containers, docker, registries
from tests.support.corpus.place import Missing, Place, Recipe, Tools, running_tools

FAMILIES: Mapping[str, tuple[Recipe, ...]] = {
    **docker.FAMILIES,
    **containers.FAMILIES,
    **registries.FAMILIES,
    "by-hand": by_hand.RECIPES,
}
"""Recipes by what writes their content."""

__all__ = ["FAMILIES", "Missing", "Place", "Recipe", "Tools", "running_tools"]

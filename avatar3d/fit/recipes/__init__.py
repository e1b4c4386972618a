"""Published methods re-implemented over our rasterizer, tracking and mattes, to be compared with in one harness.

Written from the papers' formulas and settings; no code of those projects is used. Each docstring says what follows the
publication and what was adapted to minutes on a CPU.
"""

from avatar3d.fit.recipes.train import RECIPES, RecipeOptions, Trained, recipe_preset, train

__all__ = ["RECIPES", "RecipeOptions", "Trained", "recipe_preset", "train"]

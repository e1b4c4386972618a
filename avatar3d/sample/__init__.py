"""Heads from nothing: people who do not exist, complete and animatable."""

from avatar3d.sample.between import between
from avatar3d.sample.build import build, sample
from avatar3d.sample.person import BEARDS, CLOTHES, HAIR_STYLES, Person, draw
from avatar3d.sample.sheet import portrait, sheet

__all__ = ["BEARDS", "CLOTHES", "HAIR_STYLES", "Person", "between", "build", "draw", "portrait", "sample", "sheet"]

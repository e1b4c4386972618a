"""Edits of performances: action units, emotion, style, transfer by region, transcripts. Motion in, motion out."""

from avatar3d.edit.acting.acting import Acting, acted
from avatar3d.edit.acting.emotion import emoted
from avatar3d.edit.acting.style import styled
from avatar3d.edit.acting.transfer import transferred

__all__ = ["Acting", "acted", "emoted", "styled", "transferred"]

"""Edits of performances: action units, emotion, style, transfer by region, transcripts. Motion in, motion out."""

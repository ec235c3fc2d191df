"""`python -m muninn.run.programs NAME [NUMBER]`: how the supervisor starts a program, without the CLI's imports."""

import sys

from muninn.run.programs import NAMES, run


def main(arguments: list[str]) -> int:
    """Run the program that the arguments name."""
    if not arguments or arguments[0] not in NAMES:
        print(f"usage: python -m muninn.run.programs {{{','.join(NAMES)}}} [NUMBER]", file=sys.stderr)
        return 2
    return run(arguments[0], int(arguments[1]) if len(arguments) > 1 else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

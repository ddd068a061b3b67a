"""What an INI tells its app, by name: ``pyargv = run=%(run) tick_s=%(tick_s)``. Standard library only.

Not from the environment: on the wheel Python runs before uWSGI reads its options, so ``env =`` does not arrive.
"""

import sys


def arguments() -> dict[str, str]:
    """All of them. uWSGI cuts ``pyargv`` at spaces and knows no quotation marks, so no value contains one."""
    return dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)


def argument(name: str) -> str:
    """The value of `name`.

    Raises: RuntimeError where the INI does not give it.
    """
    given = arguments()
    if name not in given:
        raise RuntimeError(
            f"the INI's pyargv gives no {name!r}, only {', '.join(given) or 'nothing'}; add {name}=… to that line"
        )
    return given[name]

"""Run by every kernel that ./lab notebook starts (PYTHONSTARTUP): a cell that runs before the first one says so."""


def say_what_to_do() -> None:
    from typing import Any

    from IPython import get_ipython

    def first(shell: Any, kind: type[NameError], error: NameError, trace: Any, tb_offset: Any = None) -> None:
        if error.name in ("lab", "lesson"):
            print(f"{error}: run the first cell of this notebook first (menu: Run, Run All Above Selected Cell).")
        else:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)

    if (shell := get_ipython()) is not None:
        shell.set_custom_exc((NameError,), first)


say_what_to_do()
del say_what_to_do

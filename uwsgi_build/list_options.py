"""Write offload_lab/uwsgi/config/options.txt: each option, action and condition that a uWSGI source tree defines.

    python uwsgi_build/list_options.py RELEASE [DEVELOPMENT] > offload_lab/uwsgi/config/options.txt

Two source trees: of the release, and of the development branch for what only that has. A line: the kind (`flag`,
`number`, `text`, `action`, `condition`), the name, and the plugin that brings it, `core` or `development`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

OPTION = re.compile(
    r'\{\s*\(?(?:char \*\) ?)?"([\w-]+)"\s*,\s*(?:required|no|optional)_argument\s*,'
    r'\s*[^,]+,\s*"(?:[^"\\]|\\.)*"\s*,\s*(\w+)'
)
ROUTER = re.compile(r'uwsgi_register_(router|route_condition)\s*\(\s*(?:\(char \*\)\s*)?"([^"]+)"')
KINDS = {
    "uwsgi_opt_true": "flag", "uwsgi_opt_false": "flag", "uwsgi_opt_set_int": "number", "uwsgi_opt_set_64bit": "number",
    "uwsgi_opt_set_16bit": "number", "uwsgi_opt_set_megabytes": "number", "uwsgi_opt_setup_gevent": "number",
}  # fmt: skip
NOT_PARSED = ("pivot_root", "start_response-nodelay", "carbon-idle-avg")  # defined by other means, shown by --help


def defined(tree: Path) -> Iterator[tuple[str, str, str]]:
    for file in sorted([*tree.glob("core/*.c"), *tree.glob("proto/*.c"), *tree.glob("plugins/*/*.*")]):
        if file.suffix not in (".c", ".cc", ".m", ".go"):
            continue
        text = file.read_text(errors="replace")
        owner = file.parent.name if "plugins" in file.parts else "core"
        for name, function in OPTION.findall(text):
            yield KINDS.get(function, "text"), name, owner
        for what, name in ROUTER.findall(text):
            yield ("action" if what == "router" else "condition"), name, owner


def main(release: Path, *development: Path) -> None:
    rows = {(kind, name): owner for kind, name, owner in defined(release)}
    rows |= {("text", name): "core" for name in NOT_PARSED}
    names = {name for _, name in rows}
    for tree in development:
        rows |= {(kind, name): "development" for kind, name, _ in defined(tree) if name not in names}
    for (kind, name), owner in sorted(rows.items()):
        print(kind, name, owner)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

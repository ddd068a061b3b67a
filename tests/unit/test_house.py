"""What stands where: the harness names no lesson, and CONTRIBUTING.md leads to files that exist."""

import re

from offload_lab.paths import ROOT

LESSON = re.compile(r"""0[1-8]_|["']0[1-8]["']|\b[Ss]tep 0[1-8]|\bada\b|X-Offload""")
DEMO_USERS = {  # of all Django stages
    "offload_lab/stages/site/users.py",
    "offload_lab/stages/site/templates/registration/login.html",
}


def test_the_harness_names_no_step_header_or_user():
    files = [path for path in (ROOT / "offload_lab").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    naming = {str(path.relative_to(ROOT)) for path in files if LESSON.search(path.read_text())}
    assert naming == DEMO_USERS

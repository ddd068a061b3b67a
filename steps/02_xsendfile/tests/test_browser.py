"""Under which name a real browser saves a file."""

from urllib.parse import quote

import pytest

from offload_lab.stages.stage import Stage
from offload_lab.testing import chromium

TIMEOUT_S = 30
HELLO = b"departs on time\n"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("name", ["größe.txt", "价目表.pdf", "two words 100%.txt", "it's; page.html"])
def test_chromium_saves_a_file_under_its_whole_name(browser, tmp_path, name):
    with Stage("02_xsendfile", "xsendfile", placeholders={"mib": "1"}) as stage:
        (stage.run / "served" / name).write_bytes(HELLO)
        page = browser.new_page()
        page.set_content(f'<a href="{stage.url}/file?name={quote(name)}">the file</a>')
        with page.expect_download(timeout=TIMEOUT_S * 1000) as started:
            page.get_by_text("the file").click()
        started.value.save_as(tmp_path / "saved")
        assert (started.value.suggested_filename, (tmp_path / "saved").read_bytes()) == (name, HELLO)
        page.close()

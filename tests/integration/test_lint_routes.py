"""The routes of a configuration: which conditions each of them has."""

from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.routes import routes

from .test_lint_parser import read


def conditions(*lines):
    text = "[uwsgi]\n" + "".join(f"response-route-{line}\n" for line in lines)
    found = routes(read(text), "response")
    assert isinstance(read(text), Config)
    return {f"{route.action}:{route.argument}": set(route.conditions) for route in found}


def test_a_route_has_its_own_condition():
    assert conditions("if-not = empty:${A} addheader:X: y", "run = send:") == {
        "addheader:X: y": {"if-not empty:${A}"},
        "send:": set(),
    }


def test_a_label_that_only_a_jump_reaches_has_the_jumps_conditions():
    found = conditions(
        "if-not = empty:${A} goto:front", "run = last:", "label = front", "run = send:", "if = equal:${B};1 uwsgi:x,0,0"
    )
    assert found["send:"] == {"if-not empty:${A}"}
    assert found["uwsgi:x,0,0"] == {"if-not empty:${A}", "if equal:${B};1"}


def test_a_label_that_is_also_reached_from_above_has_none():
    assert conditions("if-not = empty:${A} goto:front", "label = front", "run = send:")["send:"] == set()


def test_an_early_end_narrows_what_follows():
    assert conditions("if = empty:${A} last:", "run = send:")["send:"] == {"else if empty:${A}"}


def test_two_jumps_to_a_label_leave_what_they_have_in_common():
    found = conditions(
        "if = empty:${A} last:", "if = equal:${B};1 goto:front", "if = equal:${B};2 goto:front", "run = last:",
        "label = front", "run = send:",
    )  # fmt: skip
    assert found["send:"] == {"else if empty:${A}"}


def test_the_four_tables_do_not_mix():
    config = read(
        "[uwsgi]\nroute = ^/a last:\nresponse-route = ^/b last:\nerror-route-run = last:\nfinal-route-run = last:\n"
    )
    assert [len(routes(config, table)) for table in ("", "response", "error", "final")] == [1, 1, 1, 1]

"""What a front refuses of a request: the decision alone, without a process."""

import pytest

from offload_lab.stages.site.refusals import refusal

pytestmark = pytest.mark.full


WHOLE = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/subscribe?name=a",
    "PATH_INFO": "/subscribe",
    "QUERY_STRING": "name=a",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "front",
    "SERVER_PORT": "9090",
    "REMOTE_ADDR": "127.0.0.1",
}


def test_a_whole_request_is_not_refused():
    assert refusal(WHOLE) is None


@pytest.mark.parametrize("lost", ["QUERY_STRING", "PATH_INFO", "SERVER_PROTOCOL", "SERVER_PORT"])
def test_a_variable_that_uwsgi_had_no_room_for_means_414(lost):
    assert refusal({name: value for name, value in WHOLE.items() if name != lost}) == "414 URI Too Long"


@pytest.mark.parametrize(
    "changed",
    [
        {"REQUEST_METHOD": "A" * 41},
        {"REQUEST_METHOD": "G T"},
        {"REQUEST_METHOD": ""},
        {"SERVER_PROTOCOL": "GOPHER"},
        {"SERVER_PROTOCOL": ""},
    ],
)
def test_a_method_or_version_that_is_none_means_400(changed):
    assert refusal({**WHOLE, **changed}) == "400 Bad Request"


@pytest.mark.parametrize(("length", "expected"), [(3_500, None), (3_501, "414 URI Too Long")])
def test_a_target_that_a_line_of_the_log_cannot_hold_means_414(length, expected):
    assert refusal({**WHOLE, "REQUEST_URI": "/" + "a" * (length - 1)}) == expected


@pytest.mark.parametrize(("count", "expected"), [(100, None), (101, "431 Request Header Fields Too Large")])
def test_more_than_100_headers_mean_431(count, expected):
    assert refusal({**WHOLE, **{f"HTTP_X_{number}": "" for number in range(count)}}) == expected

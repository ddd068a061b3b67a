"""Who holds a connection: helpers of our own block on it in each way there is, and the right one must be found."""

import os
import platform
import socket
import sys
import threading

import psutil
import pytest

from offload_lab.inspect import kernel_sockets, sock_diag
from offload_lab.inspect.socket_owners import SocketOwner, find_socket_owners
from offload_lab.inspect.threads import poll_list, read_syscall, waiting_thread
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.system import is_linux

linux = pytest.mark.skipif(not is_linux(), reason="only Linux tells a thread's system call: proc(5)")

# Accepts one connection; another thread, or the main one, then waits on it. Prints: port, then descriptor and thread.
HELPER = """
import os, select, socket, sys, threading
waits, where = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()

def wait():
    print(connection.fileno(), threading.get_native_id(), flush=True)
    if waits == "recv":
        connection.recv(1)
    elif waits == "recvmsg":
        connection.recvmsg(1)
    elif waits == "read":
        os.read(connection.fileno(), 1)
    elif waits == "send":
        connection.sendall(bytes(2**26))
    elif waits == "sendfile":
        with open(sys.executable, "rb") as file:
            while True:
                os.sendfile(connection.fileno(), file.fileno(), 0, 2**26)
    elif waits == "poll":
        watch = select.poll()
        watch.register(0, 0)
        watch.register(connection, select.POLLIN)
        watch.poll()
    elif waits == "epoll":
        watch = select.epoll()
        watch.register(connection, select.EPOLLIN)
        watch.poll()
    else:
        while waits.endswith("runs"):
            pass
        threading.Event().wait()

if where == "main thread":
    wait()
else:
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
"""


@pytest.fixture
def helper(tmp_path):
    """Start HELPER and connect to it: gives its process, its end's descriptor, the thread, and our two ports."""
    started = []

    def start(waits, where="second thread"):
        process = Process("helper", [sys.executable, "-c", HELPER, waits, where], tmp_path / f"{len(started)}.log")
        process.start()
        started.append(process)

        def printed(count):
            process.wait_until(lambda: len(process.log_tail().split()) >= count, Deadline(20))
            return [int(word) for word in process.log_tail().split()]

        ours = socket.create_connection(("127.0.0.1", printed(1)[0]))
        started.append(ours)
        port, fd, tid = printed(3)
        return process.pid, fd, tid, (port, ours.getsockname()[1])

    yield start
    for item in started:
        item.stop() if isinstance(item, Process) else item.close()


def test_the_process_and_its_descriptor_are_found(helper):
    pid, fd, _, ports = helper("nothing")
    [found] = find_socket_owners(*ports, [os.getpid(), pid])
    assert (found.pid, found.fd) == (pid, fd)


def test_of_two_connections_to_the_same_server_the_right_one_is_found(helper):
    """Both have the same descriptor number, each in its process."""
    first, second = helper("nothing"), helper("nothing")
    assert [found.pid for found in find_socket_owners(*second[3], [first[0], second[0]])] == [second[0]]


def test_a_process_that_was_not_asked_for_is_not_found(helper):
    _, _, _, ports = helper("nothing")
    assert find_socket_owners(*ports, [os.getpid()]) == []


def test_the_clients_end_is_not_taken_for_the_servers(helper):
    _, _, _, (server_port, client_port) = helper("nothing")
    assert find_socket_owners(client_port, server_port, [os.getpid()]) != []
    assert find_socket_owners(server_port, client_port, [os.getpid()]) == []


def test_a_process_that_is_gone_holds_nothing(helper):
    pid, _, _, ports = helper("nothing")
    psutil.Process(pid).kill()
    wait_for(lambda: not psutil.pid_exists(pid), 20, "the helper ended")
    assert find_socket_owners(*ports, [pid]) == []


@linux
@pytest.mark.parametrize("where", ["second thread", "main thread"])
@pytest.mark.parametrize("waits", ["recv", "recvmsg", "read", "send", "sendfile", "poll", "epoll"])
def test_the_thread_that_waits_is_found(helper, waits, where):
    pid, fd, tid, ports = helper(waits, where)
    wait_for(lambda: find_socket_owners(*ports, [pid]) == [SocketOwner(pid, fd, tid)], 20, "the thread that waits")
    assert find_socket_owners(*ports, [pid])[0].is_main_thread == (where == "main thread")


@linux
@pytest.mark.parametrize("waits", ["poll", "epoll"])
def test_the_thread_is_not_found_for_another_descriptor(helper, waits):
    pid, fd, tid, _ = helper(waits)
    wait_for(lambda: waiting_thread(pid, fd) == tid, 20, "the thread that waits")
    assert waiting_thread(pid, 1) is None


def test_a_connection_on_which_no_thread_waits_has_no_thread(helper):
    pid, fd, _, ports = helper("nothing")
    assert find_socket_owners(*ports, [pid]) == [SocketOwner(pid, fd, None)]


@linux
def test_on_an_unknown_architecture_the_thread_is_not_told(helper, monkeypatch):
    pid, fd, tid, ports = helper("epoll")
    wait_for(lambda: waiting_thread(pid, fd) == tid, 20, "the thread that waits")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert find_socket_owners(*ports, [pid]) == [SocketOwner(pid, fd, None)]


@linux
def test_a_thread_that_runs_waits_on_nothing(helper):
    pid, fd, tid, _ = helper("nothing, and runs")
    wait_for(lambda: read_syscall(pid, tid) == [], 20, "the thread running")
    assert waiting_thread(pid, fd) is None


def test_a_thread_that_is_gone_waits_on_nothing():
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    assert read_syscall(os.getpid(), ended.native_id) == []


def test_an_address_that_cannot_be_read_holds_no_descriptors():
    assert poll_list(os.getpid(), 0, 3) == {}


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_netlink_and_proc_tell_the_same_of_a_connection(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        waiting, _ = listener.accept()
        with waiting, socket.create_connection(listener.getsockname()[:2]):  # the second one is not accepted
            client.shutdown(socket.SHUT_WR)
            assert waiting.recv(1) == b""
            port = f":{listener.getsockname()[1]}"
            proc = {found for found in kernel_sockets.from_proc(os.getpid()) if found.local.endswith(port)}
            netlink = {kernel_sockets.from_sock_diag(row) for row in sock_diag.dump()}
            assert {found for found in netlink if found.local.endswith(port)} == proc
            assert sorted((found.state, found.accepted) for found in proc) == [
                ("close-wait", True),
                ("listening", True),
                ("open", False),
            ]

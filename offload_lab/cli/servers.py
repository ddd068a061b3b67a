"""./lab start, check, watch, reset, solution for the servers of a step: broken variants to cure."""

import difflib

from offload_lab.exercises import progress, servers
from offload_lab.exercises.workspace import shown
from offload_lab.inspect.describe import count
from offload_lab.stages.site.users import DEMO_USER, DEMO_USERS
from offload_lab.stages.step import Server, Step
from offload_lab.uwsgi import binary

from .console import out, say
from .needs import LOCKS, needs
from .run import serve

# Django's form wants the token of its own cookie back
LOG_IN = (
    "LOGIN={url}/accounts/login/; curl -so jar.html -c jar $LOGIN; curl -so jar.html -b jar -c jar"
    f' -d "username={DEMO_USER}&password={DEMO_USERS[DEMO_USER]}&csrfmiddlewaretoken=$(tail -n1 jar | cut -f7)" $LOGIN'
    f"   # logs {DEMO_USER} in; from then on: curl -b jar"
)


def list_servers(step: Step) -> None:
    known = progress.load()
    out.print(f"[bold]{step.title}[/]\n{len(step.servers)} servers are sick. Their users say:")
    for server in step.servers:
        record = known.of(step, server)
        state = "passed: " * bool(record.passed) or "given: " * bool(record.given)
        say(f"{server.number:>2}  {state}{server.complaint}", indent="  ", hanging=" " * 4)
    out.print(f"\nrun one of them, sick as it is: [cyan]./lab start {step.number} NUMBER[/]")


def start(step: Step, word: str | None, port: int | None, *, solved: bool) -> None:
    """Make the folders of all servers, or of one and run it."""
    if solved:
        give([step.server(word)] if word else step.servers, step)
        return
    if word is None:
        for server in step.servers:
            servers.start(step, server)
        list_servers(step)
        return
    server = step.server(word)
    servers.start(step, server)
    copy = servers.as_step(step, server)
    needs(*(name for name in copy.default.programs if name in LOCKS))
    serve(copy, copy.default, port, binary.find("wheel"), what_to_do(step, server))


def give(chosen: list[Server] | tuple[Server, ...], step: Step) -> None:
    given = [server for server in chosen if servers.start(step, server, solved=True)]
    progress.record_given(step, given)
    for server in chosen:
        what = "cured, and counted as given" if server in given else "has your work in it, and stays as it is"
        out.print(f"{shown(servers.folder(step, server))}: {what}", soft_wrap=True)


def what_to_do(step: Step, server: Server) -> list[str]:
    number = f"{step.number} {server.number}"
    return [
        "./lab explain --stats {run}/front-stats.sock   # where each connection is, and why",
        f"./lab lint {shown(servers.folder(step, server))}/front.ini",
        f"curl -i {{url}}{step.path}   # a client; where to look: ./lab hint {number}",
        *(LOG_IN,) * servers.has_users(step, server),
        f"./lab check {number}   # the test of the cure, on what you changed (this here runs on as it was started)",
    ]


def check(step: Step, word: str | None) -> bool:
    """Check one server, or all that were changed. True if all passed."""
    begun = [server for server in step.servers if servers.folder(step, server).is_dir()]
    chosen = [step.server(word)] if word else [server for server in begun if not servers.is_untouched(step, server)]
    needs("check")
    servers.started_folder(step, (chosen or begun or step.servers)[0])  # raises before anything is tested
    verdicts = [check_server(step, server) for server in chosen]
    if not word and len(chosen) < len(step.servers):
        untouched = count(len(step.servers) - len(chosen), "server")
        out.print(f"not tested, as they were not changed: {untouched}; to test one: ./lab check {step.number} NUMBER")
    return bool(chosen) and all(verdicts)


def check_server(step: Step, server: Server) -> bool:
    with out.status("testing the cure on real processes"):
        verdict = servers.check(step, server)
    progress.record_check(
        step,
        server,
        passed=verdict.passed,
        tried=not servers.is_untouched(step, server),
        solution=servers.is_given(step, server),
    )
    states = {"passed": "[green]passed[/]", "failed": "[red]not yet[/]", "skipped": "[yellow]cannot be tested here[/]"}
    out.print(f"[bold]{server}[/]: {states[verdict.outcome]}")
    for line in verdict.lines:
        say(line, indent="    ")
    if verdict.passed:
        out.print(f"  next: [cyan]./lab solution {step.number} {server.number}[/] says what it was", soft_wrap=True)
    else:
        say(f"the goal: {server.goal}", indent="    ")
        out.print(f"  next: [cyan]./lab hint {step.number} {server.number}[/]", soft_wrap=True)
    return verdict.passed


def show_solution(step: Step, server: Server) -> None:
    """What was wrong, as the difference between the step's own files."""
    out.print(f"[bold]{server}[/] was {server.pitfall}: steps/{step.name}/{server.pitfall}.md", soft_wrap=True)
    inis = servers.variants(step, server)
    for broken, fixed in zip(inis["broken"], inis["fixed"], strict=True):
        before, after = ((step.folder / name).read_text().splitlines() for name in (broken, fixed))
        for line in difflib.unified_diff(before, after, broken, fixed, n=0, lineterm=""):
            style = {"+": "green", "-": "red"}.get(line[0], "")
            out.print(line, style=style, markup=False, soft_wrap=True)

"""A live view in a real browser, and what `./lab explain` says of the same stages at the same moment."""

from contextlib import contextmanager

from offload_lab.cli.live import view_of
from offload_lab.inspect import as_json, take_snapshot
from offload_lab.live.server import Server
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.uwsgi import binary

WITHIN_S = 60
# nothing before the first frame: until then a side has no places
SHOWN = """() => !document.body.dataset.frame ? [] : [...document.querySelectorAll(".side")].map((side) => {
    const number = (text) => Number(text.replace(/[^0-9]/g, "") || 0);
    const tokens = (place) => String(place.querySelectorAll(".token:not(.lost)").length);
    const held = (place) => number(place.querySelector(".times")?.textContent ?? tokens(place));
    const all = (selector) => [...side.querySelectorAll(selector)];
    const lines = (place) => place.querySelector(".state").textContent.split("\\n");
    const pid = (worker) => number(lines(worker)[0] || worker.querySelector(".name").textContent);
    const numbers = all(".numbers b");
    return {
        workers: all(".worker").map((one) => [pid(one), !one.matches(".idle")]),
        lanes: all(".lane:not(.none)").map(held),
        by_worker: all(".worker").map(held),
        queue: held(all(".queue")[0]),
        backends: all(".backend").map((one) => one.matches(".down") ? null : Number(lines(one)[0].split(" ")[0])),
        held: number(numbers[1].textContent),
        offloaded: number(numbers[2].textContent),
    };
})"""


def explained(side):
    """The same facts as `./lab explain --json` has them."""
    facts = as_json(take_snapshot(side.step, side.variant, side.stage.run))
    *backends, front = facts["servers"]
    connections = facts["connections"]
    threads = [tid for worker in front["workers"] for tid in worker["offload_threads"] or []]
    return {
        "workers": [[worker["pid"], worker["busy"]] for worker in front["workers"]],
        "lanes": [sum(connection["thread"] == tid for connection in connections) for tid in threads],
        "by_worker": [
            sum(
                connection["pid"] == worker["pid"] and connection["thread"] not in threads for connection in connections
            )
            for worker in front["workers"]
        ],
        "queue": sum(not connection["accepted"] for connection in connections),
        "backends": [sum(len(worker["requests"]) for worker in backend["workers"]) for backend in backends],
        "held": sum(connection["accepted"] for connection in connections),
        "offloaded": sum(worker["offloaded"] for worker in front["workers"]),
    }


class LivePage:
    """`view` and its `page`; `pids` collects every process that the stages were seen to have."""

    def __init__(self, view, page):
        self.view, self.page, self.pids = view, page, set()

    def press(self, name):
        """Press the button, and wait until all sides have done it."""
        self.remember()
        number = self.view._actions + 1
        self.page.locator(f"#do-{name}").click()
        wait_for(lambda: all(side.done >= number for side in self.view.sides), WITHIN_S, f"{name} done")
        self.remember()

    def remember(self):
        for side in self.view.sides:
            if side.stage:
                self.pids.update(pid for process in side.stage.processes for pid in process.pids())

    def buttons(self):
        found = self.page.eval_on_selector_all("#buttons button", "all => all.map(one => one.id.slice(3))")
        return [name for name in found if name not in ("freeze", "back", "forth", "save")]

    def shown(self):
        return self.page.evaluate(SHOWN)

    def wait_until_it_agrees(self):
        """With `explain`, at one moment, in everything; a bystander comes twice a second."""
        seen = []

        def agrees():
            before = self.shown()
            try:
                facts = [explained(side) for side in self.view.sides]
            except Exception as error:
                seen[:] = [before, error]
                return False
            seen[:] = [before, facts]
            return before == facts

        try:
            wait_for(agrees, WITHIN_S, "the page says what explain says")
        except TimeoutError as error:
            raise AssertionError(f"{error}\nthe page: {seen[0]}\nexplain:  {seen[1]}") from None

    def step_to(self, key, selector):
        """Press an arrow key until the frame that is shown has `selector`: nothing that passes is missed."""

        def found():
            if self.page.locator(selector).count():
                return True
            self.page.keyboard.press(key)
            return False

        wait_for(found, WITHIN_S, selector)

    def wait_shown(self, holds, what):
        wait_for(lambda: holds(self.shown()), WITHIN_S, what)


def has_worker(side):
    """Whether the page shows a process; before one is there, it shows a worker without an id."""
    return any(pid for pid, _ in side["workers"])


@contextmanager
def live_page(browser, step, *variants, engine=None):
    """The view of `step` in a new tab, once both sides run."""
    found = manifest.find(step) if isinstance(step, str) else step
    with view_of(found, variants, engine or binary.find()) as view, Server(view) as server:
        page = browser.new_page()
        page.set_viewport_size({"width": 1280, "height": 720})
        errors = []
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(server.url)
        live = LivePage(view, page)
        live.server = server
        wait_for(lambda: all(not side.problem for side in view.sides), WITHIN_S, "both sides run")
        live.wait_shown(lambda sides: sides and all(has_worker(side) for side in sides), "the workers are on the page")
        yield live
        assert not errors
        page.close()

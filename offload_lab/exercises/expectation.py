"""How a task's test says what is wrong: what was called, what came of it, what should have."""


class Unexpected(AssertionError):
    """What a learner is told of a task that is not solved."""

    def __init__(self, called: str, got: object, expected: object) -> None:
        super().__init__(f"called {called}, got {got}, expected {expected}")
        self.called, self.got, self.expected = called, str(got), str(expected)


def expect(called: str, got: object, expected: object) -> None:
    """Raises Unexpected, an AssertionError, unless `got` equals `expected`. All three are shown to a learner."""
    if got != expected:
        raise Unexpected(called, got, expected)

"""How a task's test says what is wrong: what was called, what came of it, what should have."""


class UnexpectedResultError(AssertionError):
    """What a learner is told of a task that is not solved."""

    def __init__(self, called: str, got: object, expected: object) -> None:
        super().__init__(f"called {called}, got {got}, expected {expected}")
        self.called, self.got, self.expected = called, str(got), str(expected)


def expect(called: str, got: object, expected: object) -> None:
    """All three are shown to a learner.

    Raises: UnexpectedResultError, an AssertionError, unless `got` equals `expected`.
    """
    if got != expected:
        raise UnexpectedResultError(called, got, expected)

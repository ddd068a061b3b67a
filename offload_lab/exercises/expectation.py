"""How the test of a task reports a failure: what was called, the result, and the expected result."""


class UnexpectedResultError(AssertionError):
    """The result of a call is not the expected one. All three are shown to the learner."""

    def __init__(self, called: str, got: object, expected: object) -> None:
        super().__init__(f"called {called}, got {got}, expected {expected}")
        self.called, self.got, self.expected = called, str(got), str(expected)


def expect(called: str, got: object, expected: object) -> None:
    """All three are shown to a learner.

    Raises: UnexpectedResultError, an AssertionError, unless `got` equals `expected`.
    """
    if got != expected:
        raise UnexpectedResultError(called, got, expected)

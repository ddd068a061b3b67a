"""Exercises made from the steps: marked regions of a solution become blanks, and the step's tests check the answers.

`regions` finds and fills the regions of a text, `workspace` has the learner's files, `sandbox` the copies that are run,
`check` runs the tests, `diagnose` explains a wrong answer. No generated file is kept in the repository.
"""

"""Exercises out of the steps: a step is the solution, its marked regions become blanks, its tests say what is missing.

`marks` knows regions of text, `folder` the learner's files, `scratch` the copies that are tried, `check` tries them,
`diagnosis` looks at what a wrong answer does. Nothing generated is kept in the repository.
"""

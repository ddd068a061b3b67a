"""One module a visit: who comes, what is looked at meanwhile, and the rules that make words of it."""

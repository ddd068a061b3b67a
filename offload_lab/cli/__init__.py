"""The words a person types; one module for each family of commands, `main` holds them together."""

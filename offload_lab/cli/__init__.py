"""The command line ./lab; one module for each family of commands, `main` groups them."""

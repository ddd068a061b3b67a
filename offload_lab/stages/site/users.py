"""The users that exist in every Django stage as soon as it answers."""

DEMO_USERS = {"ada": "lovelace", "grace": "hopper"}
DEMO_USER = "ada"

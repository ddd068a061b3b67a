"""Everything secret of a class, derived from one random key: the room's code, the boards' and the seats' tokens."""

import hashlib
import hmac

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # none that looks like another from the back row
CODE_LENGTH = 6


def derive(key: str, purpose: str) -> str:
    return hmac.digest(key.encode(), purpose.encode(), hashlib.sha256).hex()


def code(key: str) -> str:
    """What a seat gives to join."""
    number = int(derive(key, "room code"), 16)
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(CODE_LENGTH))


def board_token(key: str, board: str) -> str:
    """In the address of the board ``teacher`` or ``projector``."""
    return derive(key, f"board {board}")[:32]


def seat_token(key: str, seat: str) -> str:
    """With it a seat proves that it has joined."""
    return derive(key, f"seat {seat}")[:32]


def same(given: object, expected: str) -> bool:
    """Compared in a time that does not depend on where they differ."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())

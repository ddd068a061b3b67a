"""Those who visit: streams by the thousand, bystanders, slow readers. Each crew is a process of its own, since the
visitors must never be what everybody waits for. No imports but the standard library's: a crew is up in a moment."""

"""Answers with what it was told: the variable A and the scheme. /large is a body that no client reads to its end."""


def application(environ, start_response):
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (bytes(2**16) for _ in range(2**10))
    body = f"pong {environ['wsgi.url_scheme']} {environ.get('A', '')}".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

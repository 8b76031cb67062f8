"""Your company's backend, as small as it can be: it serves the page, and gives whoever is logged in a token for CAAS.

    python docs/quickstart/backend.py [PORT]          CAAS_URL and CAAS_SECRET_KEY say where, and as which application

"Logged in" is `?user=` here. In your product it is your own session, and nothing else changes.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlparse
from urllib.request import Request, urlopen

CAAS = os.environ.get("CAAS_URL", "http://127.0.0.1:3000")
SECRET_KEY = os.environ.get("CAAS_SECRET_KEY", "caas_sk_dev")  # never leaves the backend
PAGE = Path(__file__).with_name("chat.html")


def token_for(user: str) -> dict[str, object]:
    """Ask CAAS for a session of a user, who is created if need be."""
    body = json.dumps({"user": {"external_id": user, "display_name": user.capitalize()}}).encode()
    headers = {"Authorization": f"Bearer {SECRET_KEY}", "Content-Type": "application/json"}
    with urlopen(Request(f"{CAAS}/api/v1/sessions/create", body, headers), timeout=10) as answer:
        return dict(json.load(answer))


class Backend(BaseHTTPRequestHandler):
    """`/` is the page, `/token?user=` what it asks for."""

    def do_GET(self) -> None:
        url = urlparse(self.path)
        user = parse_qs(url.query).get("user", [""])[0]
        if url.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
        elif url.path == "/token" and user:
            try:
                session = token_for(user)
            except HTTPError as refused:  # CAAS says why, in words: pass it on
                return self._answer(refused.code, "application/problem+json", refused.read())
            except URLError as away:
                return self._answer(502, "text/plain", f"CAAS is not there: {away.reason}\n".encode())
            self._answer(200, "application/json", json.dumps({"caas": CAAS, **session}).encode())
        else:
            self._answer(404, "text/plain", b"there is / and /token?user=\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Backend)
    print(f"ready http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()

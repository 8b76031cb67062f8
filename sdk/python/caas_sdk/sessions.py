"""Tokens for users, as a company's backend asks for them: with its secret key, which no user's device may ever hold."""

import json
from urllib.request import Request, urlopen

from caas_sdk.errors import CaasError, from_wire


def create_session(url: str, secret_key: str, user: str, *, timeout_s: float = 10.0) -> str:
    """A token for a user, who is made where there is none. Blocks: call it in your backend. Raises CaasError, or OSError."""
    body = json.dumps({"user": {"external_id": user}}).encode()
    headers = {"Authorization": f"Bearer {secret_key}", "Content-Type": "application/json"}
    if not url.startswith(("http://", "https://")):
        raise CaasError("bad_request", f"{url!r} must begin with http:// or https://")
    try:
        with urlopen(Request(f"{url.rstrip('/')}/api/v1/sessions/create", body, headers), timeout=timeout_s) as answer:  # noqa: S310 - checked above
            return str(json.load(answer)["token"])
    except OSError as error:
        raise _refusal(error) from error


def _refusal(error: OSError) -> Exception:
    problem = getattr(error, "read", None)
    try:
        return from_wire(json.loads(problem())) if problem is not None else error
    except ValueError:
        return error

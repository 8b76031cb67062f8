"""`python -m caas_sdk.chat alice`: the terminal client by itself."""

import argparse
import sys

from caas_sdk.chat.start import DEV_KEY, start


def main() -> None:
    """Read the command line, and chat."""
    read = argparse.ArgumentParser(prog="caas chat", description="Chat in the terminal.")
    read.add_argument("user", help="who you are; made where there is no such user")
    read.add_argument("--url", default="http://127.0.0.1:3000", help="address of the server")
    read.add_argument("--with", dest="peer", help="open the conversation with this user")
    read.add_argument("--conversation", help="open this conversation")
    read.add_argument("--secret-key", default=DEV_KEY, help="the application's secret key, which gives tokens")
    given = read.parse_args()
    sys.exit(start(given.user, url=given.url, peer=given.peer, conversation=given.conversation, secret_key=given.secret_key))


if __name__ == "__main__":
    main()

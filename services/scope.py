"""Who is asking: the first argument of every service method. Made from verified credentials alone."""

import msgspec


class Scope(msgspec.Struct, frozen=True, gc=False):
    """A tenant, and who acts in it."""

    tenant: str
    """The application's id."""
    user: str = ""
    """Internal id of the user who acts; empty: the application itself, with every right but that of sending."""
    external: str = ""
    """The id that the company gave this user."""
    session: str = ""
    """The session the token belongs to; empty with a secret key."""
    connection: str = ""
    """The connection that asks, by a name that no other has; empty over REST. For what is told to all but whoever did it."""

    by_key: bool = False
    """Whether a secret key was shown, be it for the application itself or for one of its users: the application's allowance is drawn on."""

    @property
    def is_application(self) -> bool:
        """Whether the application acts by itself, by its secret key."""
        return not self.user


SYSTEM = Scope("~system")
"""What belongs to the set-up itself: applications and keys, looked up before a tenant is known."""

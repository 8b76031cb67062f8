"""What to do when an engine cannot be reached: told by the words of its driver. Pure."""

NOBODY = "is it started, and is this its address?"
_MENDS = (
    (("hostname mismatch", "ip address mismatch", "is not valid for"),
     "its certificate is another name's: give the address by a name that the certificate has, or issue another"),
    (("certificate has expired", "certificate is not yet valid"), "its certificate is not valid now: renew it, or set the clock"),
    (("certificate verify failed", "certificate could not be verified", "certificate_verify_failed"),
     "its certificate is signed by nobody whom we trust: CAAS_ENGINES_CA names the PEM file of the authority that signed it"),
    (("certificate required", "bad certificate", "did not return a certificate"),
     "it wants a certificate of ours: CAAS_ENGINES_CERTIFICATE names a PEM file with the certificate and its key"),
    (("wrong_version_number", "wrong version number", "record layer failure", "ssl handshake failed: disconnected"),
     "it speaks no TLS there: take CAAS_KAFKA_TLS, `tls=true` in CAAS_MONGO or the second s of `rediss://` away, or name its other port"),
    (("unsupported sasl mechanism", "mechanism not", "does not support", "unable to find", "not enabled in the server"),
     "it does not take this way of saying who we are: CAAS_KAFKA_MECHANISM is SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
    (("authentication failed", "invalid credentials", "wrongpass", "invalid username-password", "sasl authentication error"),
     "the user is unknown there, or the password is another: CAAS_KAFKA_USER and CAAS_KAFKA_PASSWORD, or those in CAAS_MONGO and CAAS_REDIS"),
    (("not authorized on", "authorization failed", "noperm"), "this user may not do it: see what rights it needs in docs/guide/operate.md"),
    (("noauth", "authentication required", "requires authentication"),
     "it wants to know who we are: CAAS_KAFKA_USER and CAAS_KAFKA_PASSWORD, or user:password@ in CAAS_MONGO and CAAS_REDIS"),
    (("ssl listener", "sasl listener", "incorrect security.protocol", "connection closed", "closed by server", "closed connection", "reset by peer",
      "disconnected while requesting apiversion", "apiversionrequest failed", "brokers are down", "transport failure"),
     "does it speak TLS there, or want a user? CAAS_KAFKA_TLS=true and CAAS_KAFKA_USER; `tls=true` in CAAS_MONGO; `rediss://` in CAAS_REDIS"),
    (("connection refused", "timed out", "name or service not known", "failed to resolve", "no route to host"),
     NOBODY),
)
"""Words of drivers and engines, in lower case, and what mends it; the first that fits."""


def mend(said: str) -> str:
    """The line that helps, for what a driver said; empty where nothing is known of it."""
    lower = said.lower()
    return next((line for words, line in _MENDS if any(word in lower for word in words)), "")


def is_lasting(said: str) -> bool:
    """Whether waiting does not help: somebody is there, and will say the same again."""
    return mend(said) not in ("", NOBODY)


def explained(said: str) -> str:
    """What a driver said, and what to do."""
    return f"{said}: {line}" if (line := mend(said)) else said

"""The bus of one worker. Workers of a node reach each other by links, and there is one node."""

from storage.hearing import Hearing


class EmbeddedBus(Hearing):
    """The port Bus."""

    def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        self.hear(topic, message)

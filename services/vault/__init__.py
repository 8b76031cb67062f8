"""Keys: what people wrote is sealed under a key of its author, so that erasing one key erases it everywhere, the log too."""

from services.vault.sealing import Unopenable
from services.vault.service import APPLICATION, Vault

__all__ = ["APPLICATION", "Unopenable", "Vault"]

"""A plugin of pytest (`-p tests.accelerated`): what is tested is the compiled form, here and in the servers that tests start."""

import os

from caas.acceleration import accelerate

os.environ["CAAS_ACCELERATED"] = "on"
accelerate("on")

"""CAAS: chat as a service, self-hosted. The program: the one place that knows every part.

    protocol/    what we say               actors/      who is alive
    supervisor/  who keeps things alive    transport/   how the world reaches us
    storage/     where things last         caas/        the program: config, wiring, command line
    services/    what people can do        bench/ tests/ docs/
"""

__version__ = "0.1.0"

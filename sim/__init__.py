"""The simulated world: the real services, rooms, storing and followers on a virtual clock, with a network, a disk and a scheduler that one
seed decides about. The same seed is the same run, so what goes wrong once goes wrong again.

    faults.py   what may go wrong, and when      device.py   a client that comes back whatever happens    history.py  what was promised
    world.py    workers, links, connections      play.py     one seed, from beginning to verdict          command.py  `caas sim`
"""

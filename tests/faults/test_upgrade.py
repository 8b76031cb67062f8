"""A rolling upgrade on the real engines: the release before this one is replaced, node by node, by one that knows a rule more, while clients chat
through the balancer. No message is lost, doubled or decided otherwise by anybody; the rule is used when all know it, and not before.
"""

import os
import random
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from deploy.local.cluster import Cluster, Shape, made
from deploy.local.member import Member
from tests.engines.needing import needing
from tests.faults import releases
from tests.faults.load import ask, connected, new_id
from tests.faults.stage import USERS, Stage
from tests.faults.test_cluster import enter, every_node_says_the_same, pauses
from tests.faults.test_stores_away import Refusal, Talk
from tests.journeys.conftest import token

pytestmark = [pytest.mark.real, pytest.mark.cluster]

WITHIN_S = 90
RAISED_WITHIN_S = 120
"""All must have been heard of for 30 s, and who has left must have been forgotten."""
THREADS = "threads"
NODES = 3
SETTINGS = {"dev": "1", "limits": "0", "partitions": "16", "drain_s": "5"}


async def test_a_rolling_upgrade_to_a_release_that_knows_a_rule_more(tmp_path: Path) -> None:
    seed = int(os.environ.get("CAAS_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    with needing():
        old, new = releases.previous(tmp_path), releases.coming(tmp_path)
        cluster = Cluster(tmp_path / "cluster", made(Shape(NODES, 1, 1), {}), settings=SETTINGS)
    for node in cluster.nodes.members.values():
        node.env |= old
    try:
        await cluster.start(print)
        async with trio.open_nursery() as nursery:
            stage = await enter(cluster, seed, nursery)
            await stage.all_are_back(trio.current_time(), WITHIN_S)
            await upgrade(cluster, stage, new)
            log = await stage.drain(WITHIN_S)
            await stage.check(log, tmp_path)
            await every_node_says_the_same(cluster, stage, log)
            nursery.cancel_scope.cancel()
        agreed, differed = [await counted(cluster, f"caas_folds_{what}_total") for what in ("agreed", "differed")]
        print(f"{stage.acknowledged()} sends acknowledged; nodes compared what they made of it {agreed:.0f} times")
        assert (agreed > 0, differed) == (True, 0)
    finally:
        cluster.drop()


async def upgrade(cluster: Cluster, stage: Stage, new: Mapping[str, str]) -> None:
    """One node after the other, and by which rules each decides meanwhile."""
    root = await open_thread(cluster)
    for number, node in enumerate(cluster.nodes.members.values(), 1):
        assert await says_in_thread(node, root) == "ok"
        await replaced(cluster, stage, node, new)
        if number < NODES:
            assert await says_in_thread(node, root) == "ok", "not by rules that some do not know"
    began = trio.current_time()
    for node in cluster.nodes.members.values():
        with trio.fail_after(RAISED_WITHIN_S):
            while await says_in_thread(node, root) == "ok":
                await trio.sleep(1)
        assert await says_in_thread(node, root) == "forbidden"
    print(f"the rules 2 are decided by on all nodes {trio.current_time() - began:.0f} s after the last was replaced")
    await stage.all_are_back(trio.current_time(), WITHIN_S)


async def replaced(cluster: Cluster, stage: Stage, node: Member, new: Mapping[str, str]) -> None:
    """Drained, ended, and started anew as the other release."""
    seen, since = len(stage.history.events), trio.current_time()
    await node.stop(grace_s=20)
    drained_s = trio.current_time() - since
    node.env |= new
    node.start()
    await cluster.nodes.wait_well(WITHIN_S)
    back_s = await stage.all_are_back(trio.current_time(), WITHIN_S)
    acknowledged, anybody_s, worst_s = pauses(stage.history.events[seen:])
    print(f"{time.strftime('%X')} {node.name} drained in {drained_s:.1f} s, replaced after {trio.current_time() - since - back_s:.1f} s: "
          f"{acknowledged} sends acknowledged meanwhile; for {anybody_s:.1f} s none, for {worst_s:.1f} s none of one client to one room")


async def open_thread(cluster: Cluster) -> str:
    """A group, and the message whose thread is written in."""
    root, own = new_id(random.Random()), await trio.to_thread.run_sync(token, cluster.url, USERS[0])
    await ask(cluster.url, own, [("conversation.create", {"id": THREADS, "type": "group"}),
                                 ("message.send", {"c": THREADS, "id": root, "text": "root"})])
    return root


async def says_in_thread(node: Member, root: str) -> str:
    """To one node, without the balancer: `ok`, or how it is refused."""
    base = f"http://{node.host}:{node.port}"
    own = await trio.to_thread.run_sync(token, base, USERS[0])
    async with connected(base) as socket, trio.open_nursery() as nursery:
        talk = Talk(socket)
        nursery.start_soon(talk.read)
        await talk.call("hello", token=own)
        try:
            await talk.again("message.send", c=THREADS, id=new_id(random.Random()), text="there", thread=root)
            return "ok"
        except Refusal as refusal:
            return refusal.code
        finally:
            nursery.cancel_scope.cancel()


async def counted(cluster: Cluster, name: str) -> float:
    """What all nodes count."""
    def look() -> float:
        found = 0.0
        for address in cluster.nodes.addresses:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            found += sum(float(line.split()[-1]) for line in lines if line.startswith(name))
        return found

    return await trio.to_thread.run_sync(look)

"""Memory runs out in a container: the kernel kills one process, podinit or another one."""

from cluster import processes, started, within
from pods import WEB, container_of, pod, wait_restarted

LIMIT = {"resources": {"limits": {"memory": "64Mi"}}}


def greedy(script):
    """A process that eats memory in its first run, beside those of WEB. The sign outlives the container."""
    once = f"test -e /tmp/ate && exec sleep infinity; touch /tmp/ate; {script}"
    return WEB + f"    - {{name: greedy, command: [bash, -c, '{once}'], traffic: Background}}\n"


def test_a_process_that_the_kernel_kills_is_restarted_alone(namespace):
    """It is the largest one of its container."""
    namespace.apply(pod("shop", greedy("exec tail /dev/zero"), container=LIMIT))
    killed = namespace.wait_line("shop", 30, "it was killed", lambda line: line.get("exitCode") == 137)
    assert killed["instance"] == "greedy-0", killed
    within(20, "another run", lambda: sum(map(started("greedy-0"), namespace.lines("shop"))) == 2)
    namespace.wait_ready("shop")
    assert sum(map(started("web-0"), namespace.lines("shop"))) == 1
    assert container_of(namespace, "shop")["restartCount"] == 0


def test_a_container_whose_podinit_the_kernel_kills_begins_anew(namespace):
    """podinit is the largest one there when many small ones have eaten the memory. It can say nothing then, and all of them
    are gone with it."""
    namespace.apply(pod("shop", greedy("while :; do sleep infinity & done"), container=LIMIT))
    terminated = wait_restarted(namespace, "shop")
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled"), terminated
    left = processes(namespace.json("get", "pod", "shop"))
    assert len(left) == 4, f"podinit and its three: {left}"

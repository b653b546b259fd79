"""A SLURM cluster of two nodes on this machine: real munged, slurmctld and slurmd, in a folder of their own.

Nothing outside the folder is read or written: own key, own sockets, own ports. Debian: ``apt install slurm-wlm munge``.
Nodes may have networks of their own (Debian: ``apt install iproute2``), which end with the cluster.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
NODES = ("node1", "node2")
JOB = re.compile(r"# Job (\d+_\d+) on (node\d)")
INTERFACE = "eth0"
"""By which a node with a network of its own reaches the others."""
CONFIG = """\
ClusterName=test
SlurmctldHost=localhost({controller})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
KillWait=2
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE_CONFIG = "NodeName={node} NodeHostname=localhost NodeAddr={address} Port={port} CPUs=8 RealMemory=64000 Gres=gpu:1"


def why_not() -> str:
    """Return why there can be no cluster here; nothing if there can."""
    lacking = [name for name in PROGRAMS if find(name) is None]
    if lacking:
        return f"{', '.join(lacking)}: not installed (Debian: apt install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd starts jobs as root only"


def find(program: str) -> str | None:
    """Return where a program is; daemons are not on everybody's path."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass(frozen=True)
class Network:
    """Where the controller and the nodes are."""

    controller: str = "127.0.0.1"
    nodes: tuple[str, ...] = ("127.0.0.1",) * len(NODES)
    namespaces: tuple[str, ...] = ()
    """Network namespaces of the nodes; none where they have this machine's."""

    def inside(self, node: int) -> list[str]:
        """Return what starts a command in the namespace of a node."""
        return ["nsenter", f"--net=/run/netns/{self.namespaces[node]}"] if self.namespaces else []


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    folder: Path
    network: Network

    @property
    def environment(self) -> dict[str, str]:
        """What SLURM's commands need to find it, and processes on its nodes to find each other."""
        own = {"SLURM_CONF": f"{self.folder}/slurm.conf", "SLURM_POLL_SECONDS": "0.3"}
        # All nodes have one host name, which says nothing of their networks.
        return own | ({"GLOO_SOCKET_IFNAME": INTERFACE} if self.network.namespaces else {})

    def call(self, *words: object) -> str:
        """Run one of SLURM's commands, or a daemon, and return what it said."""
        command = [find(str(words[0])), *map(str, words[1:])]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_controller(self) -> None:
        """Start slurmctld, with the state that it left."""
        self.call("slurmctld")

    def stop(self, daemon: str) -> None:
        """End a daemon by the process id that it wrote."""
        pid_file = self.folder / f"{daemon}.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"the end of {daemon}")


@contextmanager
def networks_of_nodes() -> Iterator[Network | None]:
    """Give each node a network namespace, joined by a bridge; None where that is not allowed."""

    def ip(words: str) -> bool:
        return subprocess.run(["ip", *words.split()], capture_output=True, check=False).returncode == 0

    number = None
    if shutil.which("ip") and shutil.which("nsenter"):
        number = next((one for one in range(250) if ip(f"link add evagan{one} type bridge")), None)
    if number is None:
        yield None
        return
    bridge, prefix = f"evagan{number}", f"10.203.{number}"
    nodes = {f"{bridge}-{node}": f"{prefix}.{place}" for place, node in enumerate(NODES, 2)}
    commands = [f"addr add {prefix}.1/24 dev {bridge}", f"link set {bridge} up"]
    for name, address in nodes.items():
        commands += [
            f"netns add {name}",
            f"link add {name} type veth peer name {INTERFACE} netns {name}",
            f"link set {name} master {bridge} up",
            f"-n {name} addr add {address}/24 dev {INTERFACE}",
            f"-n {name} link set {INTERFACE} up",
            f"-n {name} link set lo up",
        ]
    try:
        yield Network(f"{prefix}.1", tuple(nodes.values()), tuple(nodes)) if all(map(ip, commands)) else None
    finally:
        for name in nodes:
            ip(f"netns delete {name}")
        ip(f"link delete {bridge}")


@contextmanager
def running_cluster(folder: Path, network: Network | None = None) -> Iterator[Cluster]:
    """Start the daemons, wait until both nodes are idle, and end all jobs and daemons in the end."""
    network = network or Network()
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    # cred_expire is also how long a requeued job waits; a busy machine must launch it within that time.
    ports = _free_ports(1 + len(NODES))
    nodes = [
        NODE_CONFIG.format(node=node, address=address, port=port)
        for node, address, port in zip(NODES, network.nodes, ports[1:], strict=True)
    ]
    text = CONFIG.format(folder=folder, controller=network.controller, port=ports[0], nodes="\n".join(nodes))
    (folder / "slurm.conf").write_text(text)
    (folder / "gpu0").touch()  # a device as far as SLURM cares
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu0\n")
    cluster = Cluster(folder, network)
    names = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log", "pid-file": "munged.pid"}
    names["seed-file"] = "munged.seed"
    try:
        # Forced, because a scratch directory may be one that others can write.
        cluster.call("munged", "--force", *(f"--{option}={folder}/{name}" for option, name in names.items()))
        cluster.start_controller()
        for number, node in enumerate(NODES):
            cluster.call(*network.inside(number), find("slurmd"), "-N", node)
        wait_for(lambda: cluster.call("sinfo", "-hNo", "%t").split() == ["idle"] * len(NODES), "two idle nodes")
        yield cluster
        cluster.call("scancel", "--user=root")
        wait_for(lambda: not cluster.call("squeue", "-h"), "the end of all jobs")
    finally:
        for daemon in (*NODES, "slurmctld", "munged"):
            cluster.stop(daemon)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 300) -> object:
    """Return what the condition gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return found


def _free_ports(count: int) -> list[int]:
    """Return free ports that follow one another, as SLURM wants those of its nodes."""
    for first in range(17100, 27100, count):
        with suppress(OSError):
            sockets = [socket.create_server(("127.0.0.1", first + number)) for number in range(count)]
            for one in sockets:
                one.close()
            return list(range(first, first + count))
    raise AssertionError("no free ports")


@contextmanager
def start(directory: Path, cluster: Cluster, *words: object) -> Iterator[subprocess.Popen]:
    """Start a command that ends in the block; where the block fails, it is interrupted."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **cluster.environment}
    words = [str(word) for word in words]
    process = subprocess.Popen(words, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
        process.wait()
    finally:
        process.terminate()
        process.communicate()


def started(log: Path) -> tuple[str, str]:
    """Return job and node of a log, as soon as it tells."""
    return wait_for(lambda: log.exists() and JOB.search(log.read_text()), f"the start of {log}", 300).groups()

"""A SLURM cluster of two nodes on this machine: real munged, slurmctld and slurmd, in a folder of their own.

Nothing outside the folder is read or written: own key, own sockets, own ports. Debian: ``apt install slurm-wlm munge``.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
NODES = ("node1", "node2")
CONFIG = """\
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
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
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]}-{ports[2]} CPUs=8 RealMemory=64000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


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
class Cluster:
    """A running cluster."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What SLURM's commands need to find it."""
        return {"SLURM_CONF": f"{self.folder}/slurm.conf", "SLURM_POLL_SECONDS": "0.3"}

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
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons, wait until both nodes are idle, and end all jobs and daemons in the end."""
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    # cred_expire is also how long a requeued job waits; a busy machine must launch it within that time.
    text = CONFIG.format(folder=folder, ports=_free_ports(3), nodes=f"node[1-{len(NODES)}]")
    (folder / "slurm.conf").write_text(text)
    (folder / "gpu0").touch()  # a device as far as SLURM cares
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu0\n")
    cluster = Cluster(folder)
    names = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log", "pid-file": "munged.pid"}
    names["seed-file"] = "munged.seed"
    try:
        # Forced, because a scratch directory may be one that others can write.
        cluster.call("munged", "--force", *(f"--{option}={folder}/{name}" for option, name in names.items()))
        cluster.start_controller()
        for node in NODES:
            cluster.call("slurmd", "-N", node)
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

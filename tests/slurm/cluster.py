#!/usr/bin/env python3
"""A SLURM cluster on one machine, for one command: slurmctld, munged and three slurmd in namespaces of their own.

    python tests/slurm/cluster.py COMMAND [ARGUMENT ...]

One CPU node (partition cpu) and two nodes with two stand-in GPUs each (partition gpu), from Debian's slurm-wlm and
munge. Everything runs in new mount, PID, network and host-name namespaces: the machine's own Slurm, /etc/slurm and
processes are never touched, and all of it is gone when the command ends. Works as root, and as an ordinary user where
user namespaces are allowed.
"""

import ctypes
import fcntl
import getpass
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NODES = {"cpu1": 0, "gpu1": 2, "gpu2": 2}
CPUS, MEMORY_MB = 4, 16000

LIBC = ctypes.CDLL(None, use_errno=True)
MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2

CONFIGURATION = """
ClusterName=homing
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPort=16817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
KillWait=10
InactiveLimit=0
SchedulerParameters=sched_min_interval=500000,sched_interval=2
MpiDefault=none
EnforcePartLimits=ALL
"""


def missing_programs() -> list[str]:
    """The programs of slurm-wlm, munge and util-linux that are not installed."""
    return [name for name in ("slurmctld", "slurmd", "munged", "unshare", "srun", "sbatch") if not shutil.which(name)]


def main() -> int:
    if missing_programs():
        print(f"missing: {', '.join(missing_programs())} (apt-get install slurm-wlm munge)", file=sys.stderr)
        return 77
    if os.environ.get("HOMING_INSIDE_CLUSTER"):
        return run_inside(sys.argv[1:])
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    namespaces = [
        "unshare",
        *user,
        "--mount",
        "--uts",
        "--net",
        "--ipc",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    command = [*namespaces, sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
    return subprocess.call(command, env=os.environ | {"HOMING_INSIDE_CLUSTER": "1"})


def run_inside(command: list[str]) -> int:
    """Start the daemons, wait until all nodes are idle, run the command, stop the daemons."""
    socket.sethostname("localhost")
    bring_up_loopback()
    folder = Path(tempfile.mkdtemp(prefix="homing-slurm-"))
    daemons: list[subprocess.Popen] = []
    try:
        write_configuration(folder)
        daemons = start_daemons(folder)
        wait_until_idle(folder)
        environment = {key: value for key, value in os.environ.items() if key != "HOMING_INSIDE_CLUSTER"}
        return subprocess.call(command, env=environment)
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for path in (folder / "devices").glob("*"):
            LIBC.umount2(os.fsencode(path), MNT_DETACH)
        shutil.rmtree(folder, ignore_errors=True)


def bring_up_loopback() -> None:
    """A new network namespace has its loopback interface down: bring it up, with a second address.

    Without an address outside 127/8 the C library's look-up with AI_ADDRCONFIG, which Slurm uses, resolves nothing.
    """
    address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("10.255.255.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS
        fcntl.ioctl(control, 0x8916, address)  # SIOCSIFADDR


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2): the mount command refuses users who are not root, even with the capability."""
    if LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"cannot mount {source} on {target}: {os.strerror(ctypes.get_errno())}")


def write_configuration(folder: Path) -> None:
    """slurm.conf and gres.conf on a /etc/slurm that only this namespace sees, and device files that stand for GPUs."""
    mount("tmpfs", "/etc/slurm", kind="tmpfs")
    for name in ("state", "devices", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir()
    nodes, gres = [], []
    for number, (node, gpus) in enumerate(NODES.items()):
        offered = f" Gres=gpu:{gpus}" if gpus else ""
        nodes.append(
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={17001 + number} "
            f"CPUs={CPUS} RealMemory={MEMORY_MB}{offered} State=UNKNOWN"
        )
        for gpu in range(gpus):
            device = folder / "devices" / f"{node}-nvidia{gpu}"
            device.touch()
            mount("/dev/null", device, flags=MS_BIND)
        if gpus:
            gres.append(f"NodeName={node} Name=gpu File={folder}/devices/{node}-nvidia[0-{gpus - 1}]")
    partitions = [
        "PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=INFINITE",
        "PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=INFINITE",
    ]
    text = "\n".join([CONFIGURATION.format(folder=folder, user=getpass.getuser()), *nodes, *partitions])
    Path("/etc/slurm/slurm.conf").write_text(text + "\n")
    Path("/etc/slurm/gres.conf").write_text("\n".join(gres) + "\n")


def start_daemons(folder: Path) -> list[subprocess.Popen]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    daemons = [_start(folder, "munged", munge)]
    _wait_for(lambda: (folder / "munge.socket").exists(), "munged", folder)
    daemons.append(_start(folder, "slurmctld", ["slurmctld", "-D", "-c"]))
    daemons += [_start(folder, f"slurmd.{node}", ["slurmd", "-D", "-N", node]) for node in NODES]
    return daemons


def _start(folder: Path, name: str, command: list[str]) -> subprocess.Popen:
    with (folder / f"{name}.out").open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def wait_until_idle(folder: Path) -> None:
    def idle() -> bool:
        state = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%N %t"], capture_output=True, text=True)
        return {line.split()[0] for line in state.stdout.splitlines() if line.split()[-1] == "idle"} == set(NODES)

    _wait_for(idle, "all nodes to be idle", folder)


def _wait_for(condition, what: str, folder: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            for log in sorted([*folder.glob("*.log"), *folder.glob("*.out")]):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

"""Slurm on one node, the loopback alone, in folders of its own: munged, slurmctld, slurmd."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from patience import wait_until

NEEDED = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "squeue",
    "scancel",
    "scontrol",
    "srun",
    "sinfo",
)
PACKAGES = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
#: A job that was requeued may start again after so many seconds; Slurm's own default is 120.
AGAIN = 10


def why_not():
    """Why there is no Slurm here; empty where there is."""
    places = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=places) is None]
    if missing:
        return f"no {', '.join(missing)}: {PACKAGES}"
    return "" if os.geteuid() == 0 else "slurmd wants to be root"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Slurm:
    """The three daemons while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._path = f"{os.environ['PATH']}:/usr/sbin:/sbin"

    def __enter__(self):
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o700)
        munge = self.folder / "munge"
        key = munge / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        host = socket.gethostname().split(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        self.conf.write_text(
            "\n".join(
                [
                    "ClusterName=test",
                    f"SlurmctldHost={host}(127.0.0.1)",
                    "SlurmUser=root",
                    "SlurmdUser=root",
                    "AuthType=auth/munge",
                    f"AuthInfo=socket={munge}/socket,cred_expire={AGAIN}",
                    f"StateSaveLocation={self.folder}/state",
                    f"SlurmdSpoolDir={self.folder}/spool",
                    f"SlurmctldLogFile={self.folder}/slurmctld.log",
                    f"SlurmdLogFile={self.folder}/slurmd.log",
                    f"SlurmctldPidFile={self.folder}/slurmctld.pid",
                    f"SlurmdPidFile={self.folder}/slurmd.pid",
                    f"SlurmctldPort={free_port()}",
                    f"SlurmdPort={free_port()}",
                    "ProctrackType=proctrack/linuxproc",
                    "TaskPlugin=task/none",
                    "SelectType=select/cons_tres",
                    "SelectTypeParameters=CR_Core",
                    "ReturnToService=2",
                    f"NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} "
                    f"RealMemory={int(0.8 * memory)} State=UNKNOWN",
                    "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
                    "",
                ]
            )
        )
        self._start(
            "munged", "--force", f"--socket={munge}/socket", f"--key-file={key}",
            f"--log-file={munge}/log", f"--pid-file={self.folder}/munged.pid",
            f"--seed-file={munge}/seed",
        )  # fmt: skip
        try:
            self._start("slurmctld", "-c", "-f", str(self.conf))
            self._start("slurmd", "-f", str(self.conf))
            wait_until(lambda: self.says("sinfo", "-h", "-o", "%T") == "idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.says("scancel", "--user=root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            record = self.folder / f"{name}.pid"
            if not record.exists():
                continue
            pid = int(record.read_text())
            os.kill(pid, 15)
            deadline = time.monotonic() + 30.0
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.05)

    @property
    def environment(self):
        """That of who uses it."""
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": self._path}

    def says(self, *words, check=True):
        """What a command of Slurm's prints."""
        done = subprocess.run(
            words, capture_output=True, text=True, env=self.environment, check=check
        )
        return done.stdout.strip()

    def job(self, number):
        """Fields of a job, by name, as `scontrol` knows them."""
        said = self.says("scontrol", "--oneliner", "show", "job", str(number))
        return dict(word.split("=", 1) for word in said.split() if "=" in word)

    def _start(self, *words):
        subprocess.run(words, env=self.environment, check=True)

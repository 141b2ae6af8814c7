"""A SLURM cluster on this machine, in a folder of its own.

    python tests/cluster/local_slurm.py FOLDER --nodes 2

starts one, says how to use it and stops it on Ctrl-C. Needs slurmctld, slurmd and
munged (Debian: slurm-wlm, munge), no accounting and no system service; nothing outside
the folder is written.
"""

import argparse
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
# Debian keeps the daemons where a user's PATH may not look.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
TEMPLATE = Path(__file__).with_name("slurm.conf.template")


def missing() -> list[str]:
    """The programs of SLURM and munge that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name, path=SEARCH) is None]


def wait_until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for a condition; `TimeoutError` names it."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class LocalSlurm:
    """A controller and ``nodes`` nodes. Use it as a context, or start and stop it."""

    def __init__(self, folder: Path, nodes: int = 1, cpus: int = 2, memory: int = 8000):
        """``memory`` is in MB a node; nodes may promise more than the machine has."""
        self.folder = folder.resolve()
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.cpus, self.memory = cpus, memory
        self._daemons: dict[str, subprocess.Popen] = {}

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with SLURM's commands led to this cluster."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        return {
            **inherited,
            "PATH": os.pathsep.join([str(self.folder / "bin"), SEARCH]),
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }

    def __enter__(self) -> "LocalSlurm":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every daemon and wait until all nodes are idle."""
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        # munged insists that nobody else can write where its key and socket are.
        self.folder.chmod(0o711)
        self._write_configuration()
        self._write_commands()
        self._start_munge()
        self.start_controller()
        for node in self.nodes:
            self._run(node, "slurmd", "-D", "-N", node)
        wait_until(
            lambda: (
                self.command("sinfo", "-hN", "-o", "%T").split()
                == ["idle"] * len(self.nodes)
            ),
            f"{len(self.nodes)} idle nodes (logs in {self.folder})",
        )

    def start_controller(self) -> None:
        """Start slurmctld, with the jobs that it knew when it stopped."""
        self._run("slurmctld", "slurmctld", "-D")
        wait_until(
            lambda: "UP" in self.command("scontrol", "ping"),
            f"slurmctld (log in {self.folder})",
        )

    def stop_controller(self) -> None:
        """Stop slurmctld; nodes and running jobs go on."""
        self._end("slurmctld")

    def stop(self) -> None:
        """Cancel what is left and end every daemon."""
        if "slurmctld" in self._daemons:
            self.command("scancel", "--user", getpass.getuser())
            time.sleep(1)
        for name in reversed(list(self._daemons)):
            self._end(name)

    def command(self, *arguments: str) -> str:
        """The output of one of SLURM's commands, empty where it fails."""
        return subprocess.run(
            arguments,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
        ).stdout

    def _write_configuration(self) -> None:
        host = socket.gethostname().partition(".")[0]
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 "
            f"Port={free_port()} CPUs={self.cpus} RealMemory={self.memory} "
            "State=UNKNOWN"
            for node in self.nodes
        )
        (self.folder / "slurm.conf").write_text(
            TEMPLATE.read_text(encoding="utf-8").format(
                host=host,
                user=getpass.getuser(),
                folder=self.folder,
                controller_port=free_port(),
                nodes=nodes,
            ),
            encoding="utf-8",
        )

    def _write_commands(self) -> None:
        commands = {
            # Within a job the plugin drops SLURM_CONF from the environment of srun,
            # which then finds no cluster but one configured where SLURM looks first.
            "srun": f"SLURM_CONF={self.folder / 'slurm.conf'} "
            f'exec {shutil.which("srun", path=SEARCH)} "$@"',
            # While the controller is away the plugin asks sacct, and gives up where
            # there is no accounting. docs/cluster.md tells sites of the same remedy.
            "sacct": "exit 0",
        }
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        for name, line in commands.items():
            (folder / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
            (folder / name).chmod(0o755)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(128))
        files = {
            "--key-file": "munge.key",
            "--socket": "munge.socket",
            "--pid-file": "munged.pid",
            "--log-file": "munged.log",
            "--seed-file": "munged.seed",
        }
        options = [f"{option}={self.folder / name}" for option, name in files.items()]
        # --force: the folder may stand below one that others can write to, as /tmp.
        self._run("munged", "munged", "--foreground", "--force", *options)
        wait_until((self.folder / "munge.socket").exists, "munged")

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                arguments, env=self.environment, stdout=out, stderr=out
            )

    def _end(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A SLURM cluster on this machine.")
    parser.add_argument("folder", type=Path, help="for its configuration and logs")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=2, help="a node")
    parser.add_argument("--memory", type=int, default=8000, help="MB a node")
    options = parser.parse_args()
    if absent := missing():
        sys.exit(f"Not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)")
    with LocalSlurm(**vars(options)) as slurm:
        for name in ("SLURM_CONF", "PATH"):
            print(f'export {name}="{slurm.environment[name]}"', flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")


if __name__ == "__main__":
    main()

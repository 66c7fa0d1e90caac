"""A stand-in for Slurm: sbatch, squeue and scancel over a folder of files, one a job.

A file of ``jobs/`` is named by its number and holds ``STATE|reason|name``; a test writes there what
becomes of a job. With a file ``runs`` beside it, sbatch starts the script, as Slurm does on a free node.
"""

import os
import signal
import time

SBATCH = """#!/bin/bash
cd "{folder}"; script="${{@: -1}}"
[ -e refuses ] && {{ echo "sbatch: error: $(cat refuses)" >&2; exit 1; }}
id=$((100 + $(ls jobs | wc -l)))
name=$(sed -n 's/^#SBATCH --job-name=//p' "$script")
log=$(sed -n 's/^#SBATCH --output="\\(.*\\)"$/\\1/p' "$script" | sed "s/%j/$id/; s/%%/%/g")
env > env.$id
if [ -e runs ]; then
    echo "RUNNING|None|$name" > jobs/$id
    setsid bash "$script" > "$log" 2>&1 < /dev/null &
    echo $! > pid.$id
else
    echo "PENDING|Resources|$name" > jobs/$id
fi
echo $id
"""
SQUEUE = """#!/bin/bash
cd "{folder}"; echo squeue >> asked
for word in "$@"; do case $word in --name=*) name=${{word#--name=}};; esac; done
for id in $(ls jobs); do
    IFS='|' read -r state reason of < jobs/$id
    [ "$of" = "$name" ] && echo "$id|$state|$reason"
done
exit 0
"""
SCANCEL = """#!/bin/bash
cd "{folder}"
for word in "$@"; do case $word in
    --user=*) ;;
    --name=*) for id in $(ls jobs); do
        IFS='|' read -r state reason of < jobs/$id
        [ "$of" = "${{word#--name=}}" ] && echo "CANCELLED|None|$of" > jobs/$id
    done;;
    *) IFS='|' read -r state reason of < jobs/$word; echo "CANCELLED|None|$of" > jobs/$word
       [ -e pid.$word ] && kill -- -$(cat pid.$word) 2> /dev/null;;
esac; done
exit 0
"""


class Standin:
    """The folder of a stand-in, and its commands in ``bin/``."""

    def __init__(self, folder):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "jobs").mkdir()
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
            file = self.bin / name
            file.write_text(text.format(folder=folder))
            file.chmod(0o755)

    @property
    def jobs(self):
        """State of each job by id."""
        found = {}
        for path in sorted((self.folder / "jobs").iterdir()):
            while not (text := path.read_text()):
                time.sleep(0.01)  # it is being written
            found[path.name] = text.split("|")[0]
        return found

    def becomes(self, job, state, reason="None"):
        path = self.folder / "jobs" / job
        name = path.read_text().split("|")[2]
        aside = self.folder / "aside"
        aside.write_text(f"{state}|{reason}|{name}")
        aside.replace(path)

    def kill(self, job, state="TIMEOUT"):
        """End a job that runs as the kernel would: none of its processes is told."""
        self.becomes(job, state)
        os.killpg(int((self.folder / f"pid.{job}").read_text()), signal.SIGKILL)

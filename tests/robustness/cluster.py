#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: cluster.py STATEGRAD [STATEGRAD-MPI]   - what `stategrad cluster` prints, typed into a real Slurm of one node.

An array of parts and its merge, MPI by mpirun and by srun, an array of trainings and the analyses of their models, jobs
that are stopped, queued again and go on. Slurm and munge run on loopback, with all their files in one folder, and end
with the test."""
import atexit
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time


DAEMONS = ("munged", "slurmctld", "slurmd")
SEARCH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def skip(why):
    print("not tested:", why)
    sys.exit(77)


def check(holds, what, *seen):
    if not holds:
        print("FAILED:", what, *seen, sep="\n")
        sys.exit(1)


for tool in (*DAEMONS, "sbatch", "scontrol"):
    if not shutil.which(tool, path=SEARCH):
        skip(f"there is no {tool} (slurm-wlm, munge)")
top = pathlib.Path(tempfile.mkdtemp(prefix="stategrad-cluster-"))
bin_folder, work, slurm = top / "bin", top / "it's work", top / "slurm"
for folder in (bin_folder, work, slurm / "munge", slurm / "state", slurm / "spool"):
    folder.mkdir(parents=True)
for program in sys.argv[1:]:
    shutil.copy(program, bin_folder)
stategrad = str(bin_folder / "stategrad")
mpi = (bin_folder / "stategrad-mpi").exists() and shutil.which("mpirun")
if mpi:
    wrapper = bin_folder / "mpirun" # Open MPI's, returning 0 where its processes were stopped, as MPICH's does
    wrapper.write_text(f"""#!/bin/bash
trap 'hit=1; kill -USR1 "$work"' USR1
{mpi} "$@" &
work=$!
wait "$work"; code=$?
[ ! "$hit" ] || {{ wait "$work"; code=0; }}
exit "$code"
""")
    wrapper.chmod(0o755)
os.chdir(work)
env = {"PATH": f"{bin_folder}:{SEARCH}", "HOME": str(top), "LC_ALL": "C.UTF-8", "SLURM_CONF": str(slurm / "slurm.conf"),
       "SOURCE_DATE_EPOCH": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000", "OPENBLAS_NUM_THREADS": "1",
       "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl": "self,vader",
       "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_oob_tcp_if_include": "lo", "PMIX_MCA_gds": "hash",
       "OMPI_MCA_rmaps_base_oversubscribe": "1"}
began = time.monotonic()


def say(what):
    print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)


def run(*command, **more):
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, **more)


def must(*command):
    done = run(*command)
    check(done.returncode == 0, " ".join(map(str, command)), done.stdout, done.stderr)
    return done.stdout


# ---- a Slurm of one node ----
def free_ports():
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def slurm_down():
    run("scancel", "--state=PENDING,RUNNING", "--user", str(os.getuid()))
    run("scontrol", "shutdown")
    for daemon in daemons[::-1]:
        daemon.terminate()
    for daemon in daemons[::-1]:
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
    shutil.rmtree(top, ignore_errors=True)


def slurm_up():
    host, (control, node) = socket.gethostname().split(".")[0], free_ports()
    (slurm / "munge" / "key").write_bytes(os.urandom(128))
    for path, mode in (("munge", 0o700), ("munge/key", 0o600), (".", 0o755), ("..", 0o755)):
        os.chmod(slurm / path, mode)
    (slurm / "slurm.conf").write_text(f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny
SlurmUser={os.getuid()}
SlurmdUser={os.getuid()}
AuthType=auth/munge
AuthInfo=socket={slurm}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={slurm}/state
SlurmdSpoolDir={slurm}/spool
SlurmctldPidFile={slurm}/slurmctld.pid
SlurmdPidFile={slurm}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=30
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=32000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
""")
    atexit.register(slurm_down)
    for command in (["munged", "--foreground", "--force", f"--key-file={slurm}/munge/key", f"--socket={slurm}/munge/socket",
                     f"--pid-file={slurm}/munge/pid", f"--log-file={slurm}/munged.log", f"--seed-file={slurm}/munge/seed",
                     "--num-threads=2"], ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
        with open(slurm / (command[0] + ".said"), "w", encoding="utf-8") as said:
            daemons.append(subprocess.Popen(command, env=env, stdout=said, stderr=said))
        if command[0] == "munged":
            wait(lambda: (slurm / "munge" / "socket").exists(), 10)
    if not wait(lambda: re.search("idle|mix|alloc", run("sinfo", "-h", "-o", "%T").stdout), 20):
        said = "\n".join((slurm / (d + ".said")).read_text()[-600:] for d in DAEMONS)
        print(said)
        skip("Slurm does not start here")


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < until:
        time.sleep(0.1)
    return holds


# ---- commands as they are printed, and the jobs that they submit ----
def cluster(*args, before=lambda: None):
    """Types what `stategrad cluster ARGS` prints; the numbers of the jobs (the merge before its array), and the command for afterwards."""
    said = must(stategrad, "cluster", *args)
    before()
    typed, after = said.split("When the jobs are done:")
    typed = "\n".join(line for line in typed.splitlines() if line.startswith("  "))
    submitted = run("bash", "-ec", typed + '\n[ -z "$job" ] || echo "Submitted batch job $job"')
    jobs = re.findall(r"Submitted batch job (\d+)", submitted.stdout)
    check(submitted.returncode == 0 and jobs, typed, submitted.stdout, submitted.stderr)
    return jobs, after.strip()


def states(job):
    return re.findall(r"JobState=(\w+)", run("scontrol", "show", "job", job).stdout)


def restarts(job):
    return re.findall(r"Restarts=(\d+)", run("scontrol", "show", "job", job).stdout)


def logs():
    return "\n".join(f"{f.name}: {f.read_text()[-1500:]}" for f in sorted(work.glob("slurm-*.out")))


def done(jobs, what):
    ended = wait(lambda: all(set(states(j)) <= {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"} for j in jobs), 90)
    seen = {j: states(j) for j in jobs}
    check(ended and all(set(s) == {"COMPLETED"} for s in seen.values()), f"{what}: jobs completed", seen, logs())
    say(what)


random.seed(5)
words = [f"w{i}" for i in range(40)]
text = "\n".join(" ".join(random.choices(words, weights=range(1, 41), k=random.randint(4, 20))) for _ in range(160)) + "\n"
pathlib.Path("text").write_text(text)
pathlib.Path("big").write_text(text * 40)
small = ["--hidden-size", "9", "--embedding-size", "5", "--epochs", "2", "-q"]
quick = ["model", "text", "--delays", "5", "-q"]
long = ["model", "big", "--delays", "40", "--replace", "none", "--lyapunov", "none", "-q"]
daemons = []
slurm_up()
say("Slurm is up")
must(stategrad, "train", "text", "--seed", "2", *small, "-o", "model")

# Jobs that will be stopped begin first: Slurm starts a job again only after some seconds.
stopped = {name: cluster(*(["--ranks", "2"] if name == "joined" else []), "analyze", *long, "--checkpoint-minutes", "0.001", "-o", name + ".nc")[0][0]
           for name in ("limited", "preempted", *(["joined"] if mpi else []))}
checkpoints = [f"{name}.nc.checkpoint{end}" for name in stopped for end in ((".1of2", ".2of2") if name == "joined" else ("",))]
check(wait(lambda: all(pathlib.Path(c).exists() for c in checkpoints)), "checkpoints", logs())
for name, job in stopped.items(): # what --signal=B:USR1@120 sends, and what a pre-emption does
    must(*(["scontrol", "requeue"] if name == "preempted" else ["scancel", "--batch", "--signal=USR1"]), job)
check(wait(lambda: all(restarts(job) == ["1"] for job in stopped.values())), "queued again", *map(states, stopped.values()), logs())
for name, job in stopped.items():
    check("the same command continues from" in pathlib.Path(f"slurm-{job}.out").read_text(), f"{name}: saved", logs())
say("stopped and queued again")

several = {"parts": cluster("--parts", "3", "--cpus", "2", "analyze", *quick, "-o", "parts.nc"),
           "seeds": cluster("--seeds", "2-3", "--time", "0:10:00", "train", "text", *small, "-o", "lstm.safetensors")}
shutil.copy("model", "lost")
(merge, array), _ = cluster("--parts", "2", "analyze", "lost", *quick[1:], "-o", "lost.nc", before=lambda: os.unlink("lost"))
if mpi:
    several["mpirun"] = cluster("--ranks", "2", "analyze", *quick, "-o", "mpirun.nc")
    if "pmix" in run("srun", "--mpi=list").stdout:
        several["srun"] = cluster("--ranks", "2", "--launcher", "srun", "analyze", *quick, "-o", "srun.nc")
must(stategrad, "analyze", *quick, "-o", "alone.nc")
must(stategrad, "analyze", *long, "-o", "long.nc")
done(several["seeds"][0], "two trainings")
check(pathlib.Path("lstm-seed2.safetensors").read_bytes() == pathlib.Path("model").read_bytes(), "seed 2: another model")
following = several["seeds"][1].replace("CORPUS", "text --delays 3 -q")
check(following.startswith("stategrad cluster --seeds 2-3 analyze lstm.safetensors "), following)
analyses, report = cluster(*following.split()[2:])
for name in ("parts", "mpirun", "srun"):
    if name in several:
        done(several[name][0], name)
        check(pathlib.Path("alone.nc").read_bytes() == pathlib.Path(f"{name}.nc").read_bytes(), f"{name}: other bytes")
    else:
        print(f"not tested: {name} (openmpi-bin, PMIx in Slurm)")
done(analyses, "two analyses")
check(wait(lambda: states(merge) == ["CANCELLED"]), "parts that fail have no merge", states(array), states(merge), logs())
check(set(states(array)) == {"FAILED"} and not pathlib.Path("lost.nc").exists(), "parts that fail", states(array))
check(must("bash", "-ec", report) == "" and pathlib.Path("lstm.html").stat().st_size > 100000, report)
done(stopped.values(), "went on after they were stopped")
for name in stopped:
    check(pathlib.Path(f"{name}.nc").read_bytes() == pathlib.Path("long.nc").read_bytes(), f"{name}: other bytes")
check([f.name for f in work.iterdir() if ".nc.checkpoint" in f.name] == [], "checkpoints are removed")
say("all bytes are those of one process")

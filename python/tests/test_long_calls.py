# SPDX-License-Identifier: MIT
"""Progress, exceptions and Ctrl-C out of long calls; the interpreter's lock; threads; memory; another user of libhdf5."""
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import unittest.mock

import numpy as np
from common import QUICK, InFolder, model, python, sentences

import stategrad as sg
from stategrad import _base

LONG = sentences(20000, 5)


class Stop(Exception):
    pass


class LongCalls(InFolder):
    def test_exceptions_of_progress_stop_the_work(self):
        def stop(p):
            self.assertTrue(p.what and p.done >= 0)
            raise Stop(p.what)
        jobs = {"analyze": lambda: sg.analyze(model(), LONG, delays=200, progress=stop),
                "train": lambda: sg.train(LONG, epochs=50, progress=stop), "evaluate": lambda: sg.evaluate(model(), LONG * 20, progress=stop),
                "check": lambda: sg.check(model(), draws=10**6, progress=stop), "show": lambda: sg.show(model(), "the cat " * 250, replace=3000, progress=stop),
                "track": lambda: sg.track(sg.analyze(model(), sentences(), **QUICK), {"kind": "cat-dog"}, progress=stop)}
        for name, job in jobs.items():
            with self.subTest(name):
                start = time.monotonic()
                with self.assertRaises(Stop):
                    job()
                self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(sg.evaluate(model(), sentences()).unknown_tokens, 0) # and all goes on

    def test_ctrl_c(self):
        """Each of them would take minutes. The signal is sent when the library is at work, and only then: a moment earlier or later Python may be
        freeing something, where it drops what a signal raises."""
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler)) # a job in the background ignores it
        for phase, job in (("analysing", lambda: sg.analyze(model(), LONG, delays=400)), ("comparing gradients", lambda: sg.check(model(), draws=10**6)),
                           ("replacing words", lambda: sg.show(model(), "the cat " * 250, replace=3000)),
                           ("replacing words", lambda: sg.show(model(), "the cat " * 250, replace=3000, progress=lambda p: None)),
                           ("writing", lambda: sg.synth(self.folder / "corpora", tokens=10**8))):
            begun, tell, sent = threading.Event(), _base.Monitor.tell, []

            def heard(monitor, p):
                if p.what == phase:
                    begun.set()
                tell(monitor, p)

            def send():
                if begun.wait(60):
                    time.sleep(0.2) # within the work, not within heard()
                    sent.append(time.monotonic())
                    os.kill(os.getpid(), signal.SIGINT)
            thread = threading.Thread(target=send)
            with self.subTest(phase), unittest.mock.patch.object(_base.Monitor, "tell", heard):
                thread.start()
                with self.assertRaises(KeyboardInterrupt):
                    job()
                self.assertLess(time.monotonic() - sent[0], 10)
            thread.join()
        self.assertFalse((self.folder / "corpora").exists())

    def test_progress_of_check_and_show(self):
        for job, phases in ((lambda p: sg.check(model(), progress=p), {"reading", "comparing gradients", "comparing sums", "following small changes"}),
                            (lambda p: sg.show(model(), "the cat sees", replace=2, progress=p), {"differentiating", "replacing words"}),
                            (lambda p: sg.track(sg.analyze(model(), sentences(), **QUICK), {"kind": "cat-dog"}, progress=p), {"copying", "tracking"})):
            found = []
            job(found.append)
            self.assertEqual({p.what for p in found if p.done == p.total}, phases)

    def test_progress_within_a_portion(self):
        """Of 64 tokens, which take minutes where layers have thousands of units."""
        found = []
        sg.analyze(model(), sentences(), progress=found.append, **QUICK)
        self.assertLess(next(p for p in found if p.what == "analysing").done, 64)

    def test_the_lock_is_released(self):
        count, done = 0, threading.Event()

        def work():
            sg.analyze(model(), LONG[:1000], delays=100, threads=1, replace="none")
            done.set()
        thread = threading.Thread(target=work)
        thread.start()
        while not done.wait(0.002):
            count += 1
        thread.join()
        self.assertGreater(count, 30)

    def test_two_threads_on_one_run_and_one_model(self):
        run = sg.analyze(model(), sentences(), **QUICK)
        expected, shown, errors = run["layer1.cell"].read("mean_gradient"), sg.show(model(), "the cat has a dog"), []
        text = str(shown)

        def work():
            try:
                for _ in range(4):
                    np.testing.assert_array_equal(run["layer1.cell"].read("mean_gradient"), expected)
                    self.assertEqual(str(shown), text)
                    np.testing.assert_array_equal(sg.analyze(model(), sentences(), **QUICK)["layer1.cell"].read("mean_gradient"), expected)
            except BaseException as e:
                errors.append(e)
        threads = [threading.Thread(target=work) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(errors, [])

    def test_one_closes_what_the_other_reads(self):
        run = sg.analyze(model(), sentences(), **QUICK)
        state, errors = run["layer1.cell"], []

        def read():
            try:
                while True:
                    state.read("mean_gradient")
            except ValueError as e:
                errors.append(str(e))
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.1)
        run.close()
        thread.join()
        self.assertIn("is closed", errors[0])

    def test_a_thousand_times_in_bounded_memory(self):
        python("""
import gc, resource, time
import numpy as np
import stategrad as sg
from common import *
m = model()
V = len(m.vocabulary)
def with_files():
    with sg.analyze(m, sentences(20), {'noun': NOUNS}, {'kind': 'cat-dog'}, delays=2, replace='none', lyapunov='none', threads=1) as run:
        run['layer1.cell'].read('mean_gradient')
        run.curve('noun')
def all_of_it():
    for bad in ([V], 'no file'):
        try: sg.evaluate(m, bad)
        except (ValueError, OSError): pass
    sg.evaluate(m, [1, 2, 3], threads=1)
    str(sg.show(m, 'the cat', replace=1))
    m.gradients([1, 2, 3])
    m.tensors['encoder.weight'].sum()
def size():
    return int(open('/proc/self/statm').read().split()[1]) * 4096
for i in range(100): all_of_it() or (i < 6 and with_files())
gc.collect()
before = size()
room = int(open('/proc/self/statm').read().split()[0]) * 4096 + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
for i in range(1000): all_of_it() or (i % 50 == 0 and with_files())
gc.collect()
grown = size() - before
assert grown < 4 << 20, f'{grown / 2**20:.1f} MiB more after a thousand rounds'
""")

    def test_threads_spin_as_those_of_the_program(self):
        """What GNU OpenMP says when it is loaded; the user's own choice is kept, and the environment is as it was."""
        free = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
        for given, expected in (({}, "'1000'"), ({"GOMP_SPINCOUNT": "77"}, "'77'"), ({"OMP_WAIT_POLICY": "passive"}, "'0'")):
            done = subprocess.run([sys.executable, "-c", "import os\nimport stategrad\nprint(os.environ.get('GOMP_SPINCOUNT'))"], text=True,
                                  capture_output=True, env={**free, "OMP_DISPLAY_ENV": "verbose", **given})
            self.assertIn(f"GOMP_SPINCOUNT = {expected}", done.stderr)
            self.assertEqual(done.stdout.strip(), given.get("GOMP_SPINCOUNT", "None"))

    def test_beside_netcdf4(self):
        """Either order; nothing on standard error but what netCDF4 says itself."""
        run = sg.analyze(model(), sentences(), **QUICK)
        run.save(self.folder / "r.nc")
        ours = "import stategrad as sg\nrun = sg.open(sys.argv[1])\nrun['layer1.cell'].read('mean_gradient')\n"
        its = "import netCDF4\nwith netCDF4.Dataset(sys.argv[1]) as d: d['layer1.cell']['mean_gradient'][:]\n"
        fails = "try: netCDF4.Dataset('/no/such.nc')\nexcept OSError: pass\ntry: sg.open('/no/such.nc')\nexcept OSError: pass\n"
        python("import sys\n" + ours + its + fails + ours + its, self.folder / "r.nc")
        python("import sys\n" + its + ours + fails + its + ours, self.folder / "r.nc")

    def test_beside_netcdf4_in_two_threads(self):
        run = sg.analyze(model(), sentences(), **QUICK)
        run.save(self.folder / "r.nc")
        python("""
import sys, threading
import netCDF4
import stategrad as sg
from common import *
done, rounds = threading.Event(), 0
def its():
    global rounds
    while not done.is_set():
        with netCDF4.Dataset(sys.argv[1]) as d:
            d['layer1.cell']['mean_gradient'][:], d['class_name'][:]
        try: netCDF4.Dataset('/no/such.nc')
        except OSError: pass
        rounds += 1
thread = threading.Thread(target=its)
thread.start()
for _ in range(5):
    sg.analyze(model(), sentences(20), **QUICK).close()
    with sg.open(sys.argv[1]) as run: run['layer1.cell'].read('mean_gradient'), run.root.read('word')
done.set()
thread.join()
assert rounds > 2, rounds
""", self.folder / "r.nc")


if __name__ == "__main__":
    unittest.main()

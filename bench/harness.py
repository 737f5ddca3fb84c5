# SPDX-License-Identifier: Apache-2.0
"""What the programs of bench/ share: packages, the build, a directory that goes away, servers that
go down with it, drivers, progress, and a description of the machine.
"""
import json
import os
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build", "bench")
DRIVERS = ("enforcer", "lmdb", "sqlite", "redis", "postgres", "disk", "deaths")
PACKAGES_TO_BUILD = ["meson", "ninja-build", "gcc", "libc6-dev", "pkg-config", "liblmdb-dev",
                     "libsqlite3-dev", "libhiredis-dev", "libpq-dev"]
PACKAGES_TO_SERVE = ["redis-server", "postgresql", "util-linux"]
PACKAGES_FOR_TOOLS = ["libjansson-dev", "libncurses-dev", "libyaml-dev"]
TOOLS = ("be-inspect", "be-ctl")
POLICY = "/usr/sbin/policy-rc.d"
SERVER_PATIENCE_S = 30


class Failed(Exception):
    """Said to the user as one line."""


def run_quietly(arguments, **options):
    """Runs a command whose output matters only if it fails."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


# ---- packages and build

def is_installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
                          capture_output=True, text=True)
    return done.stdout == "installed"


def install_packages(packages, say):
    """Installs the Debian packages that are missing. The servers among them are not to start by
    themselves."""
    if not shutil.which("apt-get"):
        say("This is no Debian-like system. What these Debian packages hold must be there: "
            + " ".join(packages))
        return
    missing = [package for package in packages if not is_installed(package)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Failed("packages are missing. As root: apt-get install " + " ".join(missing))
    say("Installing " + " ".join(missing))
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(apt + ["update"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    keep_down = not os.path.lexists(POLICY)
    if keep_down:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        run_quietly(apt + ["-y", "--no-install-recommends", "install"] + missing, env=environment)
    finally:
        if keep_down:
            os.unlink(POLICY)


def build(directory, say, tools=()):
    """Builds the drivers, and the tools named, for speed; returns a function from a name to its
    program."""
    say(f"Building in {os.path.relpath(directory)}")
    again = ["--reconfigure"] if os.path.exists(os.path.join(directory, "build.ninja")) else []
    enabled = "enabled" if tools else "disabled"
    run_quietly(["meson", "setup", *again, "-Dbuildtype=release", "-Dbench=enabled",
                 "-Dtests=disabled",
                 f"-Dinspect={enabled}", f"-Dctl={enabled}", "-Dfuzz=disabled", directory, TOP])
    targets = {name: os.path.join("bench", "drive-" + name) for name in DRIVERS}
    targets.update((name, os.path.join("tools", name, name)) for name in tools)
    run_quietly(["ninja", "-C", directory, *targets.values()])
    return lambda name: os.path.join(directory, targets[name])


# ---- the machine

def read_line(path, default="unknown"):
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return default


def describe_machine(directory):
    """In words that say what matters for the figures."""
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1])
    return {
        "processors": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_gib": round(memory / 1024 / 1024, 1),
        "kernel": platform.release(),
        "file_system": run_quietly(["findmnt", "-n", "-o", "FSTYPE", "-T", directory]).strip(),
        "load_at_start": os.getloadavg()[0],
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


# ---- what goes away at the end

class Work:
    """A temporary directory and the servers that run in it. With it, both go, however the program
    ends."""

    def __init__(self, parent):
        self.parent = parent
        self.servers = []

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda got, frame: sys.exit(128 + got))
        self.path = tempfile.mkdtemp(prefix="budget-enforcer-bench-", dir=self.parent)
        os.chmod(self.path, 0o755)  # PostgreSQL runs as another user
        return self

    def __exit__(self, *what):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for server in list(self.servers):
            server.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def fresh(self, name):
        """An empty directory of that name."""
        path = os.path.join(self.path, name)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        return path


class Server:
    """A running server. It dies with this program, and is not sent the terminal's Ctrl-C: it is
    stopped."""

    def __init__(self, work, arguments, log, user=None, stop_by=signal.SIGTERM):
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if user and os.geteuid() == 0:
            prefix = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig",
                      "INT"]
        self.work = work
        self.log = log
        self.stop_by = stop_by
        with open(log, "ab") as file:
            self.process = subprocess.Popen(prefix + arguments, stdin=subprocess.DEVNULL,
                                            stdout=file,
                                            stderr=file, start_new_session=True, cwd="/")
        work.servers.append(self)

    def wait_for(self, is_up):
        until = time.monotonic() + SERVER_PATIENCE_S
        while not is_up():
            if self.process.poll() is not None or time.monotonic() > until:
                with open(self.log, errors="replace") as file:
                    raise Failed("a server did not start:\n" + file.read()[-2000:])
            time.sleep(0.01)
        return self

    def stop(self):
        if self in self.work.servers:
            self.work.servers.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(self.stop_by)
            try:
                self.process.wait(SERVER_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def answers(path, question, answer):
    """Does who listens on that unix socket give the answer?"""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(path)
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False


def start_redis(work, place, mode):
    path = os.path.join(place, "redis.sock")
    server = Server(work,
                    ["redis-server", "--port", "0", "--unixsocket", path, "--dir", place, "--save",
                     "",
                           "--appendonly", "yes", "--appendfsync", mode,
                           "--auto-aof-rewrite-percentage", "0"], os.path.join(place, "log"))
    return server.wait_for(lambda: answers(path, b"PING\r\n", b"+PONG\r\n"))


class Postgres:
    """A cluster of its own, made once; a server is started on it whenever one is asked for."""

    def __init__(self, work):
        self.work = work
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.place = None

    def program(self, name):
        root = "/usr/lib/postgresql"
        versions = sorted(os.listdir(root), key=float) if os.path.isdir(root) else []
        return os.path.join(root, versions[-1], "bin", name) if versions else name

    def make(self):
        self.place = self.work.fresh("postgres")
        if os.geteuid() == 0:
            shutil.chown(self.place, self.user, self.user)
        as_user = []
        if os.geteuid() == 0:
            as_user = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups"]
        run_quietly(as_user
                    + [self.program("initdb"), "-D", os.path.join(self.place, "data"), "-U",
                       "postgres",
                               "--auth=trust", "--locale=C", "--encoding=UTF8"], cwd="/")

    def start(self):
        if not self.place:
            self.make()
        server = Server(self.work,
                        [self.program("postgres"), "-D", os.path.join(self.place, "data"),
                                    "-c", "listen_addresses=", "-c",
                                    f"unix_socket_directories={self.place}",
                                    "-c", "max_connections=200"],
                        os.path.join(self.work.path, "postgres.log"), self.user, signal.SIGINT)
        ready = [self.program("pg_isready"), "-q", "-h", self.place]
        return server.wait_for(lambda: subprocess.run(ready).returncode == 0)


# ---- drivers

def start_driver(program, operation, place, mode, **options):
    arguments = [program, operation, "--place", place, "--mode", mode]
    for name, value in options.items():
        arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE,
                            text=True)


def finish_driver(process):
    """What it has measured, {} for `make`. However this ends, the driver has ended."""
    try:
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise Failed(f"{' '.join(process.args)}: {errors.strip() or process.returncode}")
    return json.loads(output) if output else {}


def drive(*arguments, **options):
    return finish_driver(start_driver(*arguments, **options))


def summarize(rounds):
    """The medians over rounds of what a driver measured, except for the worst."""
    def middle(name):
        return statistics.median(one[name] for one in rounds)

    return {
        "per_second": statistics.median(one["operations"] / one["seconds"] for one in rounds),
        "mean_ns": middle("mean_ns"),
        "cpu_ns": middle("cpu_ns"),
        "p50_ns": middle("p50_ns"),
        "p99_ns": middle("p99_ns"),
        "p999_ns": middle("p999_ns"),
        "max_ns": max(one["max_ns"] for one in rounds),
        "slowest_to_median": statistics.median(slowest_to_median(one) for one in rounds),
        "private_kib": statistics.median(statistics.median(one["private_kib"]) for one in rounds),
        "anonymous_kib": statistics.median(statistics.median(one["anonymous_kib"])
                                           for one in rounds),
    }


def slowest_to_median(one):
    median = statistics.median(one["per_worker"])
    return min(one["per_worker"]) / median if median else 0


# ---- talking

class Progress:
    """Tells on stderr what is being done and how long it will take: one line on a terminal, else
    one per step."""

    def __init__(self, steps):
        self.steps = steps
        self.done = 0
        self.began = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def say(self, text):
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.began) / self.done * (self.steps - self.done)
            left = f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
        line = f"[{self.done}/{self.steps}{left}] {text}"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + line[:width])
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def step(self):
        self.done += 1

    def end(self):
        if self.terminal:
            sys.stderr.write("\r\x1b[K")


def say(text):
    print(text, file=sys.stderr, flush=True)


def time_text(ns):
    """Three figures and a unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns / size < 999.5 else f"{ns / size:.0f} {unit}"
    return f"{ns:.3g} ns" if ns < 999.5 else f"{ns:.0f} ns"


def print_table(title, heads, rows):
    widths = [max(len(str(row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    print(f"\n{title}")
    for row in [heads, *rows]:
        cells = [str(cell).ljust(widths[i]) if i == 0 else str(cell).rjust(widths[i])
                 for i, cell in enumerate(row)]
        print("  " + "  ".join(cells).rstrip())


def print_verdicts(verdicts):
    """Each is (what, measured, bound as text, met)."""
    rows = [(what, measured, bound, "met" if met else "NOT MET")
            for what, measured, bound, met in verdicts]
    print_table("What must be true", ("", "measured", "bound", ""), rows)


def main_of(function):
    """Runs a program's main function and turns what ends it into an exit status."""
    try:
        return function()
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130

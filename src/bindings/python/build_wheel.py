# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel with a C compiler and pkg-config, and nothing else, so that pip needs no
network: `pip install --no-index FOLDER`. The library itself must be installed; the wheel links it.
One wheel serves Python 3.9 and all later versions."""
import base64
import hashlib
import os
import pathlib
import re
import shlex
import subprocess
import sysconfig
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'^version = "(.*)"', (HERE / "pyproject.toml").read_text(), re.M).group(1)
NAME = f"budget_enforcer-{VERSION}"
INFO = f"{NAME}.dist-info"
METADATA = f"""Metadata-Version: 2.1
Name: budget-enforcer
Version: {VERSION}
Summary: Budgets for pools of worker processes, over LMDB, with no server
License: Apache-2.0
Requires-Python: >=3.9
"""


def words_of(*command):
    return shlex.split(subprocess.run(command, check=True, stdout=subprocess.PIPE,
                                      text=True).stdout)


def compile_native(target):
    sources = sorted(str(path) for path in (HERE / "native").glob("*.c"))
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu17", "-O2", "-fPIC",
                    "-shared", "-fvisibility=hidden", "-pthread",
                    *shlex.split(os.environ.get("CFLAGS", "")),
                    "-DPy_LIMITED_API=0x03090000", "-I" + sysconfig.get_path("include"),
                    *words_of("pkg-config", "--cflags", "budget-enforcer"), *sources,
                    *words_of("pkg-config", "--libs", "budget-enforcer"),
                    *shlex.split(os.environ.get("LDFLAGS", "")), "-ldl", "-Wl,-z,nodelete",
                    "-o", target], check=True)


def line_of(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """The hook that pip calls (PEP 517)."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = f"cp39-abi3-{platform}"
    files = {f"budget_enforcer/{path.name}": path.read_bytes()
             for path in sorted((HERE / "budget_enforcer").iterdir())
             if path.suffix in (".py", ".pyi") or path.name == "py.typed"}
    with tempfile.TemporaryDirectory() as work:
        target = pathlib.Path(work, "_native.abi3.so")
        compile_native(str(target))
        files["budget_enforcer/_native.abi3.so"] = target.read_bytes()
    files[f"{INFO}/METADATA"] = METADATA.encode()
    files[f"{INFO}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: budget-enforcer\n"
                              f"Root-Is-Purelib: false\nTag: {tag}\n").encode()
    record = "".join(line_of(*file) for file in files.items()) + f"{INFO}/RECORD,,\n"
    files[f"{INFO}/RECORD"] = record.encode()
    wheel = f"{NAME}-{tag}.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, wheel), "w",
                         zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel

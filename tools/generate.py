"""Python code and type stubs from the protos; `--check` says whether what is committed is fresh."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
COMMITTED = PROTOS / "gen" / "python"
OUTPUTS = ("python_out=", "grpc_python_out=", "mypy_out=quiet:", "mypy_grpc_out=quiet:")


def generate(into: Path) -> None:
    well_known = files("grpc_tools").joinpath("_proto")
    sources = sorted(str(p) for p in (PROTOS / "stage1").rglob("*.proto"))
    flags = [f"--{output}{into}" for output in OUTPUTS]
    plugins = [
        f"--plugin={name}={Path(sys.executable).with_name(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    failed = protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *plugins, *flags, *sources])
    if failed:
        sys.exit("protoc failed.")


def listing(folder: Path) -> list[Path]:
    return sorted(p.relative_to(folder) for p in folder.rglob("*.py*") if p.suffix != ".pyc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if check:
            names = listing(fresh)
            same = filecmp.cmpfiles(fresh, COMMITTED, [str(n) for n in names], shallow=False)[0]
            if names != listing(COMMITTED) or len(same) != len(names):
                sys.exit("protos/gen/python is not what the protos give: run 'make gen'.")
            return
        shutil.copytree(fresh, COMMITTED, dirs_exist_ok=True)
        for stale in set(listing(COMMITTED)) - set(listing(fresh)):
            (COMMITTED / stale).unlink()


if __name__ == "__main__":
    main()

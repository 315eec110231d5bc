"""Builds the optional native kernels; everything else about the package is in pyproject.toml.

Without a compiler the build goes on and clip2 works without them (`clip2 info` says so). One build serves every CPU of
its architecture, because the kernels choose their instruction set when they are loaded, and every Python from 3.10 on,
because they do not use Python's C interface.
"""

import sys
from glob import glob

from setuptools import Extension, setup

NATIVE = "data_prep/native"

# Where the compiler has OpenMP by default; elsewhere the kernels run on one thread.
OPENMP = ["-fopenmp"] if sys.platform == "linux" else []

kernels = Extension(
    "data_prep.native._kernels",
    sources=[f"{NATIVE}/native.cpp"],
    depends=sorted(glob(f"{NATIVE}/**/*.hpp", recursive=True)),
    language="c++",
    # Strict floating point: the same rounding, and so the same choices, as the pure torch version.
    extra_compile_args=[
        *("-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno"),
        *("-fvisibility=hidden", "-pthread", "-Wno-psabi", "-Wno-unknown-pragmas", *OPENMP),
    ],
    extra_link_args=["-pthread", *OPENMP],
    py_limited_api=True,
    optional=True,
)

setup(
    ext_modules=[] if sys.platform == "win32" else [kernels],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)

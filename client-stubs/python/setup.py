"""Makes the bindings before setuptools looks for packages; everything else is in pyproject.toml."""

import pathlib
import runpy

from setuptools import setup

runpy.run_path(str(pathlib.Path(__file__).resolve().with_name("generate.py")))["generate"]()
setup()

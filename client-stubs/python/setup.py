"""Makes the bindings before the package is built; everything else is in pyproject.toml."""

import pathlib
import runpy

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithBindings(build_py):
    """Runs generate.py first."""

    def run(self):
        script = pathlib.Path(__file__).with_name("generate.py")
        runpy.run_path(str(script))["generate"]()
        # The packages were listed before the bindings were there.
        self.distribution.packages = None
        self.finalize_options()
        super().run()


setup(cmdclass={"build_py": BuildWithBindings})

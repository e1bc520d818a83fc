"""What pyproject.toml can't say: a wheel takes the files beside the package into it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("templates", "inventory.toml", "docs/inventory.schema.json")


class BuildPy(build_py):
    """Copies what lies beside the package to where fabfile/resources.py looks for it once installed."""

    def run(self) -> None:
        if self.editable_mode:  # a checkout has them where they are
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # an earlier build may have left what has gone since
        super().run()
        for source, target in self._beside().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self._beside().values()]

    def _beside(self) -> dict[str, str]:
        """Where each file goes. The build runs in the folder of this file."""
        found = [path for name in BESIDE for path in (Path(name), *sorted(Path(name).rglob("*"))) if path.is_file()]
        return {str(path): str(Path(self.build_lib, "fabfile", "_data", path)) for path in found}


setup(cmdclass={"build_py": BuildPy})

"""Copies the workflow, the studies and the pages into a wheel, so that it needs no clone."""

from pathlib import Path
from shutil import rmtree

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import FileList


class BuildWithWorkflow(build_py):
    """Copies what `MANIFEST.in` lists to the folder `files` of the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # the package then uses its clone
            target, files = Path(self.build_lib, "passband", "files"), FileList()
            rmtree(target, ignore_errors=True)
            for line in Path("MANIFEST.in").read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("#"):
                    files.process_template_line(line)
            for file in files.files:
                self.mkpath(str((target / file).parent))
                self.copy_file(file, str(target / file))


setup(cmdclass={"build_py": BuildWithWorkflow})

"""The wheel carries the workflow, its configuration and the fact tables, which in a clone lie beside the library."""

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("config", "resources", "profiles", "envs", "rules", "workflow")
FILES = ("Snakefile", "pyproject.toml")


class WithShippedFiles(build_py):
    """Copies them into the package; an editable install reads the clone's own."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for folder in FOLDERS:
                self.copy_tree(folder, f"{self.build_lib}/homing/shipped/{folder}")
            for file in FILES:
                self.copy_file(file, f"{self.build_lib}/homing/shipped/{file}")


setup(cmdclass={"build_py": WithShippedFiles})

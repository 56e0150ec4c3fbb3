"""Build the wheel with the workflow, its configuration and its tables, which lie beside the library in a clone."""

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("config", "resources", "profiles", "envs", "rules", "workflow")
FILES = ("Snakefile", "pyproject.toml")


class WithShippedFiles(build_py):
    """Copy these files into the package; an editable install reads those of the clone."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for folder in FOLDERS:
                self.copy_tree(folder, f"{self.build_lib}/homing/shipped/{folder}")
            for file in FILES:
                self.copy_file(file, f"{self.build_lib}/homing/shipped/{file}")


setup(cmdclass={"build_py": WithShippedFiles})

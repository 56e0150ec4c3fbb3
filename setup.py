"""The wheel carries the configuration's definition and the fact tables, which in a clone lie beside the library."""

from setuptools import setup
from setuptools.command.build_py import build_py


class WithShippedFiles(build_py):
    """Copies config/ and resources/ into the package; an editable install reads the clone's own."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for folder in ("config", "resources"):
                self.copy_tree(folder, f"{self.build_lib}/homing/shipped/{folder}")


setup(cmdclass={"build_py": WithShippedFiles})

"""In a checkout the kernels stand beside the package; an installation has them in it (`package-dir` in pyproject.toml).

Python that is started in a checkout takes the package from there, whatever is installed.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def find_kernels(package: str, folder: Path) -> None:
    """Make the folder `kernels` beside the folder of a package its subpackage, where the package has none."""
    file = folder.parent / "kernels" / "__init__.py"
    if (folder / "kernels").is_dir() or not file.is_file():
        return
    name = f"{package}.kernels"
    spec = spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    # as the import of a subpackage does
    vars(sys.modules[package])["kernels"] = module

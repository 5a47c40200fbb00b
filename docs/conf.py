"""Sphinx's configuration: `make docs` builds the site from these pages, the docstrings and the scripts in examples/."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from site_parts.pictures import figures_of  # noqa: E402

import desali  # noqa: E402

project = "desali"
author = "the desali developers"
copyright = "the desali developers, Apache-2.0"
version = release = desali.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "site_parts.benchmark_tables",
    "site_parts.docstrings",
]
exclude_patterns = ["_build", "gallery/GALLERY_HEADER.rst", "experiments/results"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
suppress_warnings = ["config.cache"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"exclude-members": "__init__, __weakref__"}
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/[a-z_]+\.py$",
    "within_subsection_order": "site_parts.order.Order",
    "image_scrapers": ("matplotlib", figures_of),
    "capture_repr": (),
    "reset_modules": (),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 0,
}

html_theme = "furo"
html_title = f"desali {release}"
html_static_path = ["_static"]
html_css_files = ["desali.css"]
html_theme_options = {"navigation_with_keys": False, "top_of_page_buttons": []}
html_show_sourcelink = False
html_copy_source = False

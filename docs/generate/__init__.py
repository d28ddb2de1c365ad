"""What makes the pages of the site that are not written by hand, and the drawings.

`mkdocs.yml` names `hooks.py`, which gives MkDocs the pages of `pages.py`: the reference of ops and functions, the
programs of the tutorials, the front page and the benchmark's table out of README.md. `python -m docs.generate drawings`
writes docs/drawings, `python -m docs.generate programs` runs the tutorials' programs and keeps what they print.
"""

"""`python -m numgraph`, the same as the command `numgraph`."""

import sys

from numgraph.cli import main

sys.exit(main())

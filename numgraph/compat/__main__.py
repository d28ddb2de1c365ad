"""`python -m numgraph.compat run PROGRAM.py [args]`."""

import sys

from numgraph.compat.run import main

sys.exit(main())

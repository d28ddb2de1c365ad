"""Random programs, compiled and by the reference, judged with NumPy: `python -m tests.differential`.

`--target cuda-sim --seed 7 --minutes 60` runs the programs from seed 7 on for an hour on the simulated device. A fault
is printed as a small program of its own, and the run goes on; `--seed N --programs 1` repeats one.

A program is source text: inputs, shared variables, one line per step, a function, and what is done with it. The text
that is run is the text that is printed for a fault. `draw` makes programs from *kinds* (the tables in `elementwise`,
`rows`, `shapes`, `scatter`, `lengths`, `gradients`, `sharing`), `judge` says what each value must be and how exactly,
`shrink` makes a failing program small, and `workers` runs many of them in processes that may crash or hang.
"""

"""The CUDA side that no graph knows of: kernels to machine code, and a simulator that runs them on this machine."""

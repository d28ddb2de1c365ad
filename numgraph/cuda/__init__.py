"""Running on a device: its memory, launches and recordings, arrays that live there, and the executor that uses them."""

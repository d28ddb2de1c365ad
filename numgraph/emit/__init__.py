"""From a schedule to Python source."""

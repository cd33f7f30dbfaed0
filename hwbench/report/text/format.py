"""Numbers and names as people read them."""

import math

from hwbench.units import si

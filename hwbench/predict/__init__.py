"""How long it will take: ideal, roofline and forecast."""

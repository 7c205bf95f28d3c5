"""From a returned value to its deliveries."""

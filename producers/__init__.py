"""Who asks: clients, command line, gateway."""

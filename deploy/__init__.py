"""How it is run: on one machine, in containers, under systemd."""

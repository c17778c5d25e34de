"""`turnstile size`: the processes and the memory that a load needs, by figures that were measured."""

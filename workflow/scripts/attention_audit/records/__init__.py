"""What the results carry: schemas, tables, what made them, and how faults are told."""

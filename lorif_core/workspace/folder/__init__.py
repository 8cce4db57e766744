"""What every room stands on: where the files of a workspace lie, who uses it, how long work says how far it is."""

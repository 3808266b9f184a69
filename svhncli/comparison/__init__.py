"""Whether runs differ by more than chance: who is compared, on which pictures, what the tests say, and in
what their configs differ. It reads folders, never the data, and needs no torch."""

module tally/strict

go 1.25.0

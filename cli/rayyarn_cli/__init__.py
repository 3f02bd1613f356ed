"""The command line of rayyarn: parse, call one function of the library, render."""

"""A package that is installed as editable, so that its code lies outside the environment."""

TEXT = "hello from an editable install"

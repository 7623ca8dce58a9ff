"""The project: settings, server, command line. `VERSION` is the version of the product; CHANGELOG.md lists them all."""

VERSION = "0.9.0"

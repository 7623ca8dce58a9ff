"""The demo: an ordinary client that starts a server, runs a workflow over HTTP, and displays the results."""

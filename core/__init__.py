"""The rules that the API, the worker and the command share: no web framework, no GPU library, no UI."""

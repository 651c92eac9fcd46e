"""Checks of the rendered manifests, each a function from `Manifests` to findings: no finding, no fault."""

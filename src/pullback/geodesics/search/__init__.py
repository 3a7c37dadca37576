"""The search for geodesics: starts, from coarse to fine, and the verdict."""

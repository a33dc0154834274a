"""Variants of DARTS: each module changes a few hooks of one :class:`.base.Variant`."""

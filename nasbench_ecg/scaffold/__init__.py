"""Scaffolding: new plugin packages, written from templates."""

"""PhysioNet databases: the catalog, fetching with resume and checksums, and verification."""

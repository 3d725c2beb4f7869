"""Class prototypes: built, calibrated, judged, exported; numbers only, no database."""
